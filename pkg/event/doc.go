// Package event is the envelope of every record: a CloudEvent in binary mode (Kafka protocol binding 1.0.2), its
// attributes as record headers, its body a Protocol Buffer whose full name is the event's type.
//
// ToRecord and FromRecord are the way to the log and back; Decode takes the body out. Ids are made from what an event
// comes from (MakeID), so that deciding the same thing twice makes the same event.
//
// Files, each using only those above it:
//   - event.go: the envelope, written and read
//   - place.go: whether facts are in the partitions of their keys
//   - enum.go: the values of a body's enums as text
//   - token.go: the place of a record as a token for clients
package event
