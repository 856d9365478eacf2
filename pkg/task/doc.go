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
// One goroutine per instance, the engine's, owns all tasks and calls all of the handler, so nothing of a task is
// locked. Beside it run: one long poll (fetch.go), one commit (commit.go), one look at the topics' identities
// (topics.go), one question for the ends of logs (measure.go), and what the handler begins with Engine.Go. They report
// with Engine.Post or Engine.Wake, and others get in between two steps with Engine.Do. What is read from outside
// (readiness, gauges, the last look at the topics) has locks of its own.
//
// # How to read it
//
// Files, in reading order:
//   - run.go: an instance takes part in the consumer group, with one engine for each generation
//   - loop.go: what an engine does, again and again; waiting, leaving
//   - takeover.go: claim, reset, where inputs begin
//   - fetch.go: one long poll for all inputs
//   - apply.go: one compare-and-swap per task; losing a task
//   - commit.go: offsets for the group
//   - topics.go: which logs the positions are of
//   - measure.go: metrics and logs
//   - engine.go: Config, Instance and Engine
//   - status.go: readiness
//   - handler.go: what a handler must do
//   - partition.go: Partition, Input and Change
package task
