// Package wire is Kafka's protocol as bytes: requests and responses in their frames, and the record batches in Produce
// and Fetch. The messages are those of kmsg, which is generated from Kafka's own definitions. Records are read and
// written here, on kbin's varints: kmsg's form of one has its headers as a list, and a Fetch of 100 records with 12
// headers each takes 2.4 times the processor time with it.
//
// Everything that is read came over the network and can be anything: a length is checked before it is believed, and
// memory is taken for what is there, not for what is announced. The package starts no goroutine and opens no
// connection.
//
// Files, each using only those above it:
//   - frame.go: a request is sent, and its response received
//   - header.go: one header of a record
//   - record.go: one record of a batch
//   - decompress.go: the bytes of compressed records, and the memory that batches may take
//   - batch.go: a record batch, its checksum and its records
//   - transactions.go: which batches belong to aborted transactions
//
// Formats: https://kafka.apache.org/protocol for messages, https://kafka.apache.org/documentation/#messageformat for
// batches.
package wire
