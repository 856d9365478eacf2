// Package deadletter is the format of dead letters, of what operators ask to be done with them, and of what became of
// each: the records of <participant>.dead-letters.v1 and <participant>.redrive.v1. The way of a letter back is
// docs/dead-letters.md; here, letter is short for dead letter.
//
// Files, each using only those below it:
//   - write.go: Park and Tell, the records of a letter and of what became of it
//   - reference.go: letters that do not hold the event they stand for
//   - read.go: Parse and Original
//   - request.go: what operators ask for
//   - name.go: names and messages without what is private
//   - headers.go: the headers, read and written
//   - deadletter.go: topics, kinds, and what a record says
package deadletter
