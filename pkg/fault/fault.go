// Package fault gives an error the one class that decides its HTTP status and whether an event is retried or parked.
//
// An error without a class is transient: it is retried within a budget and then parked. Classes are read with
// errors.As through any number of %w wraps; the outermost class wins.
package fault

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Class decides what happens with the thing that failed.
type Class int

const (
	// Transient is the class of an error without one: retried with a budget, then parked. HTTP 500.
	Transient Class = iota
	// Invalid input breaks a rule; the same input always will. Parked at once. HTTP 400 or 422.
	Invalid
	// NotFound names a thing that does not exist. Parked at once. HTTP 404.
	NotFound
	// Conflict contradicts what is already there. Parked at once. HTTP 409.
	Conflict
	// NotYet lacks a cause that is still on its way: the event is held until others of its order have passed.
	NotYet
	// Unavailable means that something outside is down or slow: waited for without end, never parked. HTTP 503.
	Unavailable
	// Permanent will fail for ever for a reason that is nobody's input (a bug, a refused account). Parked at once. HTTP
	// 500.
	Permanent
	// Deferred means that the outside has not decided about this one item, or does not take it for now (a mailbox that is
	// full, a refund under way), while others pass. It waits alone, however long: parked with the time of its next try.
	// HTTP 503.
	Deferred
)

// names of the classes in logs, metrics and dead letters.
var names = [...]string{"transient", "invalid", "not_found", "conflict", "not_yet", "unavailable", "permanent",
	"deferred"}

func (c Class) String() string { return names[c] }

// Error is an error with a class. Field names the input field at fault as a JSON pointer or variable name; empty when
// no single field is. RetryAfter is a hint for the caller of an unavailable thing, and for a deferred one the longest
// wait until its next try; zero means none.
type Error struct {
	Class      Class
	Field      string
	RetryAfter time.Duration
	err        error
}

func (e *Error) Error() string {
	if e.Field != "" {
		return e.Field + ": " + e.err.Error()
	}
	return e.err.Error()
}

func (e *Error) Unwrap() error { return e.err }

// New formats an error of a class; %w works as in fmt.Errorf.
func New(c Class, format string, args ...any) error {
	return &Error{Class: c, err: fmt.Errorf(format, args...)}
}

// Field is an Invalid error that names the field at fault.
func Field(field, format string, args ...any) error {
	return &Error{Class: Invalid, Field: field, err: fmt.Errorf(format, args...)}
}

// FieldIf is Field if bad, else nil: errors.Join of some of them names all that is wrong.
func FieldIf(bad bool, field, format string, args ...any) error {
	if !bad {
		return nil
	}
	return Field(field, format, args...)
}

// As gives err a class. It returns nil for a nil err.
func As(c Class, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Class: c, err: err}
}

// Later is an Unavailable error that says when to try again.
func Later(after time.Duration, format string, args ...any) error {
	return &Error{Class: Unavailable, RetryAfter: after, err: fmt.Errorf(format, args...)}
}

// Defer is a Deferred error. within is how long the next try may be away at most: a deadline of the item that must not
// be slept through; zero leaves the pace to who retries.
func Defer(within time.Duration, format string, args ...any) error {
	return &Error{Class: Deferred, RetryAfter: within, err: fmt.Errorf(format, args...)}
}

// ClassOf returns the class of the outermost classified error in err's chain, or Transient.
func ClassOf(err error) Class {
	var e *Error
	if errors.As(err, &e) {
		return e.Class
	}
	return Transient
}

// FirstLine of an error's text is for people: what follows it (a stack) is for logs.
func FirstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
