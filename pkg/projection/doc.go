// Package projection folds topics into a read model: the same engine as a participant's, with nothing to publish.
// Each partition of a copy of the read model is written by one task, in one script per step that moves documents,
// indexes, counters and positions together, so that a crash can neither skip nor repeat. What it keeps may be wiped at
// any moment: it is folded again from the start of the log. The protocol is docs/protocol.md.
//
// # Goroutines
//
// The engine's goroutine (package task) owns the partitions and folds. The rebuild of package rebuild runs in another
// one, with an engine of its own for the shadows, and asks both between two steps. Readers and feeds are used by all;
// a reader that misses a document takes the claim away, so that the partition is folded again.
//
// # How to read it
//
// Begin with Behavior; the example shows a whole one. A record's way is that of cycle.go: Receive, Work (fold.go,
// order.go, write.go), Change.
//
// Files, each using only those above it:
//   - writes.go: indexes and counters as sums
//   - behavior.go: what is folded
//   - versions.go: which fold versions can be gone on with; names in Redis
//   - stored.go: documents as they are stored
//   - notes.go: records that are no facts
//   - order.go: one document; the rule of pkg/chain decides which facts count
//   - feed.go: wake-ups, from any instance
//   - missing.go: documents that Redis lost
//   - reader.go: reads, from any instance
//   - recent.go: documents in memory
//   - partition.go: what waits to be folded
//   - model.go: what live copies and shadows have in common
//   - watch.go: metrics and logs
//   - folder.go: what a step takes
//   - load.go: the documents of a step
//   - write.go: documents into commands
//   - fold.go: records into documents
//   - sweep.go: documents older than the retention
//   - cycle.go: what the engine calls
//   - shadow.go: what package rebuild builds beside the live copies
//   - projection.go: Run: topics, consumer group, readiness
package projection
