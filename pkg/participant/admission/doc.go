// Package admission is where events of a participant come in from outside its topics, by HTTP: it publishes them to the
// participant's own topic from any instance, and answers from what the tasks have folded, never from less. A request
// that is repeated makes the same event, and is told what became of the first.
//
// It has no goroutines of its own but those that append and that ask for ends, which are there while a request waits.
//
// Files, each using only those below it:
//   - admission.go: Find, Admit, Admitted and Publish
//   - fold.go: what a partition's task has folded, and whether that may be believed
//   - present.go: which log the topic is now
//   - ends.go: where the topic ends
//   - append.go: requests of one moment share one produce
//   - refusals.go: what Kafka has lately refused
package admission
