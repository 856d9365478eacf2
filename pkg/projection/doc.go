// Package projection folds topics into a read model: the same tasks as a participant's, with nothing to publish.
// Each partition of the read model is written by one task, in one script per step that moves documents, indexes,
// counters and positions together, so that a crash can neither skip nor repeat. What it keeps may be wiped at any
// moment: it is folded again from the start of the log. The protocol is docs/protocol.md.
//
// Files in reading order:
//
//	behavior.go               what is folded, and which fold versions can be gone on with
//	projection.go             Run: topics, consumer group, readiness
//	shadow.go                 a generation: the live cycle, and one for what package rebuild builds beside it
//	cycle.go                  the loop: take over, fold, apply, commit, fetch
//	takeover.go, identity.go  claim of a partition; which logs it was folded from
//	fetch.go, task.go         records on their way from the logs
//	fold.go, order.go         records into documents; the rule of pkg/chain decides which of them count
//	recent.go, stored.go      documents in memory, and as they are stored
//	notes.go                  records that are no facts
//	write.go, writes.go       documents into commands; indexes and counters as sums
//	apply.go, witness.go      the compare-and-swap; keys that Redis lost
//	sweep.go                  documents older than the retention
//	reader.go, feed.go        reads and wake-ups, from any instance
//	watch.go, gauges.go       metrics and logs
//
// Goroutines: each cycle runs in one, which owns its tasks; one fetch and the watch over identities run beside it
// and hand back what they found. The rebuild runs in another one and asks the cycles between two steps.
package projection
