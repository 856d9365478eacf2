// Package problem speaks RFC 9457: every error of an HTTP API is answered with a problem document whose status follows
// from the error's class, and clients read such documents back into errors of the same class.
//
// Files, each using only those above it:
//   - problem.go: an error as a problem document
//   - write.go: a request is answered with it
//   - read.go: an answer as a document, or as an error
package problem
