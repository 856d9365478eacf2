// Package orders is what a task keeps of its orders, and the form in which all that is stored.
//
// An order is one text in Redis: the state that the behaviour gave it, the last fact decided and the last one accepted
// per topic, the ids of the events it has answered, and the dead letters that wait. Participants write it; package
// admission reads it to answer a request.
//
// Files, each using only those below it:
//   - text.go: the stored form
//   - letters.go: the dead letters of an order, and the request about them that is under way
//   - order.go: an order, the heads of its chains, and what it has answered
//   - seen.go: the ids of the events it has answered
//   - keys.go: which hash an order is in, and which keys are counted
package orders
