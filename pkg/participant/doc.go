// Package participant runs one part of a choreography: it turns three pure-minded functions into a service that loses
// nothing, does nothing twice and keeps every order's events in order. The protocol is docs/protocol.md.
//
// An event's way: the engine (package task) fetches it, receive makes a delivery of it, load brings its order into
// memory, the order's queue judges it and puts it to React on a worker, the answer becomes a fact in the outbox,
// change gathers all of that for the engine to write in one compare-and-swap (task/apply.go), publishing sends the
// outbox, and the engine commits the offset once that has left. The cycle is the engine's loop (task.Engine.Serve),
// which does these steps for all partitions in turn.
//
// # Goroutines
//
// The engine's goroutine owns partitions, orders and queues, and calls everything in this package but Behavior.React,
// which runs on workers (internal/workers), produces, and the reading back of chains and of dead letters' events.
// Those report by Engine.Wake and Engine.Post. A delivery belongs to the worker between run and take. What changed an
// order has its queue go on by partition.resume, with the same step of the engine or the next: no function calls the
// queue that called it.
//
// # Files
//
// From the engine down to one order.
//
// Files, each using only those below it:
//   - participant.go: New, Run and Ready
//   - handler.go: what the engine calls
//   - restore.go: own topics read again after a claim
//   - fold.go: what one record of an own topic means for its order
//   - change.go: what one compare-and-swap writes
//   - publish.go: the outbox into the log, and what Kafka will not take
//   - intake.go: room; from the engine's fetch into queues
//   - queue.go: one event at a time per order: judged, and put to React when it is its turn
//   - wake.go: what comes by itself: back-offs, deadlines, retries
//   - redrive.go: what a request about dead letters does next
//   - reference.go: the event of a dead letter that does not hold it
//   - react.go: React on a worker, and what becomes of its answer by the class of its error
//   - answer.go: an event is answered, by a fact or by nothing
//   - parking.go: an event is parked, and comes back or does not
//   - letters.go: the dead letters of an order, in the store and in the log
//   - chain.go: chains that are read back, beside the engine
//   - load.go: orders from the store into memory
//   - partition.go: a partition, and what those of an instance share
//   - source.go: one of its inputs
//   - watch.go: metrics and logs
//   - activity.go: what is told in the activity topic
//   - order.go: an order, and its queue
//   - delivery.go: an event on its way, and a request about dead letters
//   - erase.go: a Behavior without its type parameter
//   - failure.go: classes of errors, and when what failed is tried again
//   - behavior.go: what a participant does
//   - clock.go: the clock held against Redis's
//   - config.go: what a participant needs
//
// Packages below it: admission (requests over HTTP become events), participanttest (the five rules as a suite),
// internal/orders (the stored form of an order), internal/outbox, internal/timers, internal/workers.
package participant
