// Package taskstore keeps tasks in Redis. A task is one partition of one consumer; what is kept of it is a fold of the
// log, and may be wiped at any moment.
//
// All keys of a task share one hash tag, {service:partition}, so that one script can change them together, in one slot
// of a Redis Cluster. One of them, meta, has the token of the task's owner and the number of its last change. Claim
// writes a new owner. Apply is a compare-and-swap on both: whoever was the owner before is Fenced, and a store that
// forgot something, or was taken back to an older moment, is Lost. Reset empties a task, and may die half-way.
//
// What the values of the other keys mean is not known here. The protocol is docs/protocol.md; storetest has the
// contract as a suite, and an empty Redis for tests.
//
// Files, each using only those above it:
//   - config.go: where Redis is
//   - store.go: names of keys, errors
//   - scan.go: all keys of a service
//   - claim.go: a new owner
//   - change.go: one compare-and-swap
//   - reset.go: a task begins anew
//   - read.go: reads, many in one round trip
//   - memory.go: no command for a Redis that deletes keys by itself
//
// # Goroutines
//
// It starts none. A Store is used by anybody; the nodes of a cluster are asked at once, by goroutines of the client
// that have ended when the call returns. Memory.Run is one of its caller's.
package taskstore
