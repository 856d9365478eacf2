// Package task is the engine under participants and projections: it owns partitions, and knows nothing of what is done
// with their records.
//
// A task is one partition of one consumer. Its state is a fold of the log, kept in Redis by package taskstore, and
// every change of it is one compare-and-swap that moves state and positions together. The engine claims tasks, has
// their state restored, reads their inputs, writes their changes, commits offsets for the group, and gives a task up as
// soon as its claim, its store or its logs are not what they were. A Handler says what the records mean.
//
//	claim ── restore ──▶ own ──▶ lost (fenced, store wiped, log replaced or contradicted) ──▶ claim …
//	                      │
//	                      └─ fetch ▶ Receive ▶ Work ▶ Change ▶ compare-and-swap ▶ Then ▶ Publish ▶ commit
//
// # Goroutines
//
// One goroutine per generation, that of Engine.Serve, owns all tasks and calls all of the handler, so nothing of a task
// is locked. Beside it run one long poll (fetch.go), one commit (commit.go), one look at the topics' identities
// (topics.go), one question for the ends of logs (measure.go), and what the handler begins with Engine.Go; the engine
// waits for all of them before it ends. They report with Engine.Post or Engine.Wake, and others get in between two
// steps with Engine.Do. What is read from outside (readiness, gauges, the last look at the topics) has its own locks.
//
// # How to read it
//
// Begin with Engine.Serve in loop.go, then the part that concerns you: each is a type with the methods of one job.
//
// Files, each using only those above it:
//   - config.go: what an engine needs, and its times
//   - partition.go: Partition and Input: a task as the engine knows it; Change: what one compare-and-swap writes
//   - handler.go: what is done with records
//   - gauges.go: metrics, as they were measured last
//   - instance.go: a member of the consumer group: readiness, outages, trying again
//   - beside.go: goroutines beside the engine's
//   - tasks.go: those of one generation; losing one
//   - measure.go: where the tasks are, for metrics
//   - topics.go: which logs the positions are of
//   - fetch.go: one long poll for all inputs
//   - apply.go: one compare-and-swap per task
//   - commit.go: offsets for the group
//   - takeover.go: claim, reset, where inputs begin
//   - loop.go: Run: one Engine for each generation of the consumer group; what that does, again and again; leaving
package task
