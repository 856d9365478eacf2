// Package projection folds topics into a read model: the same engine as a participant's, with nothing to publish.
// Each partition of a copy of the read model is written by one task, in one script per step that moves documents, indexes,
// counters and positions together, so that a crash can neither skip nor repeat. What it keeps may be wiped at any
// moment: it is folded again from the start of the log. The protocol is docs/protocol.md.
//
// # Goroutines
//
// The engine's goroutine (package task) owns the partitions and folds. The rebuild of package rebuild runs in another
// one, with an engine of its own for the shadows, and asks both between two steps. Readers and feeds are used by
// anybody; a reader that misses a document takes the claim away, so that the partition is folded again.
//
// # Files, in reading order
//
//   - behavior.go: what is folded, and which fold versions can be gone on with
//   - projection.go: Run: topics, consumer group, readiness
//   - cycle.go: what the engine calls
//   - shadow.go: what package rebuild builds beside the live copies
//   - sweep.go: documents older than the retention
//   - fold.go: records into documents, a step at a time
//   - write.go: documents into commands
//   - writes.go: indexes and counters as sums
//   - missing.go: documents that Redis lost
//   - recent.go: documents in memory
//   - task.go: what waits to be folded
//   - order.go: one document; the rule of pkg/chain decides which facts count
//   - stored.go: documents as they are stored
//   - notes.go: records that are no facts
//   - reader.go: reads, from any instance
//   - feed.go: wake-ups, from any instance
//   - watch.go: metrics and logs
package projection
