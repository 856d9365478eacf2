// Package wire is what Kafka's protocol looks like as bytes: requests and responses in their frames, and the record
// batches inside Produce and Fetch. The messages themselves are those of kmsg, which is generated from Kafka's own
// definitions; record batches are read and written here, because kmsg's form of a record holds its headers as a list:
// with it, a Fetch of 100 records with 12 headers each takes 1.4 times as long (docs/performance.md).
//
// Everything that is read came over the network and can be anything: a length is checked before it is believed, and
// memory is taken for what is there, not for what is announced. The package starts no goroutine and opens no connection.
//
// Files, each using only those above it:
//   - frame.go: a request is sent, its response received
//   - header.go: the headers of a record
//   - record.go: one record of a batch
//   - batch.go: a record batch, its checksum and its records
//   - transactions.go: which batches belong to aborted transactions
//   - decompress.go: the records of a compressed batch, and how much memory batches may take
//
// Formats: https://kafka.apache.org/protocol (messages), https://kafka.apache.org/documentation/#messageformat (batches).
package wire
