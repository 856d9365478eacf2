// Package orders is what a task knows of its orders, and stores of them.
//
// An order is one message in Redis (package stored): the state that the behaviour gave it, the last fact decided and
// the last one accepted per topic, the ids of the events it has answered, and the dead letters that wait. Participants
// write it; package admission reads it to answer a request.
//
// Files, each using only those below it:
//   - stored.go: how an order is written and read
//   - letters.go: the dead letters of an order, and the request about them that is under way
//   - order.go: an order, the heads of its chains, and what it has answered
//   - keys.go: which hash an order is in, and which keys are counted
package orders
