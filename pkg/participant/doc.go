// Package participant runs one part of a choreography: it turns three pure-minded functions into a service that loses
// nothing, does nothing twice and keeps every order's events in order. The protocol is docs/protocol.md.
//
// An event's way: the engine (package task) fetches it, Receive makes a delivery of it, load brings its order into memory,
// its lane judges it and puts it to React on a worker, the result becomes a fact in the outbox, Change writes all of that
// in one compare-and-swap, Publish sends the outbox, and the engine commits the offset once that has left.
//
// # Goroutines
//
// The engine's goroutine owns partitions, orders and lanes, and calls everything in this package but Behavior.React, which
// runs on workers (internal/workers), produces, and the reading back of chains and letters. Those report by Engine.Wake and
// Engine.Post. A delivery belongs to the worker between run and take.
//
// # Files, in reading order
//
//   - behavior.go, config.go: what a participant does, and what it needs
//   - participant.go: Run and Ready
//   - cycle.go: what the engine calls; timers and readiness
//   - intake.go: room, receive; from the engine's fetch into lanes
//   - lane.go: one event at a time per order: judged, and put to React when it is its turn
//   - react.go: React on a worker
//   - answer.go: what becomes of React's result, by the class of its error
//   - apply.go, kept.go, witness.go: what a change writes, where orders are kept, which keys are counted
//   - publish.go, refusal.go: the outbox into the log, and what Kafka will not take
//   - letter.go, redrive.go, retry.go, reference.go: dead letters: parked, brought back by people or by themselves, read again
//   - deadline.go: deadlines as local events
//   - chain.go: chains that are read back, beside the engine
//   - restore.go, load.go: own topics folded after a claim; orders from the store into memory
//   - task.go, source.go, order.go: a partition, one of its inputs, an order
//   - erased.go: a Behavior without its type parameter
//   - clock.go, watch.go, activity.go: the clock, metrics and logs, what is told in the activity topic
//
// Packages below it: admission (requests over HTTP become events), participanttest (the five rules as a suite), internal/orders
// (the stored form of an order), internal/outbox, internal/timers, internal/workers.
package participant
