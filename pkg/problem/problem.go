package problem

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
)

// ContentType of a problem document.
const ContentType = "application/problem+json"

// TypePrefix starts the type of every problem; what follows is the slug given to New, and is stable.
const TypePrefix = "urn:troupe:problem:"

// Slugs of the problems that follow from a class. An API has its own for what it explains itself.
const (
	SlugInvalid     = "invalid-request"
	SlugTooLarge    = "body-too-large"
	SlugNotFound    = "not-found"
	SlugConflict    = "conflict"
	SlugUnavailable = "unavailable"
	SlugInternal    = "internal-error"
)

// What one document holds at most; the request is hostile and some of its text comes back in the answer.
const (
	maxFields = 100
	maxDetail = 1024
)

// Field is one input field at fault and the rule it breaks. Field is a JSON pointer into the body, or the name of a
// header or parameter.
type Field struct {
	Field  string `json:"field"`
	Detail string `json:"detail"`
}

// Problem is an RFC 9457 problem document. It is an error too: one that carries its own status, type and text to Write.
type Problem struct {
	Type     string  `json:"type"`
	Title    string  `json:"title"`
	Status   int     `json:"status"`
	Detail   string  `json:"detail,omitempty"`
	Instance string  `json:"instance,omitempty"`
	Errors   []Field `json:"errors,omitempty"`
	TraceID  string  `json:"trace_id,omitempty"`
	// RetryAfter is the Retry-After header of a 503 or 429; zero means one second on a 503, and no header otherwise.
	RetryAfter time.Duration `json:"-"`
}

// Error is the detail, or the title when there is none, with the fields at fault.
func (p *Problem) Error() string {
	text := cmp.Or(p.Detail, p.Title)
	for _, f := range p.Errors {
		if line := f.Field + ": " + f.Detail; line != text {
			text += "\n  " + line
		}
	}
	return text
}

// New is an error that Write renders as it is: everything in it is shown to the caller. slug ends the type and must
// stay the same for ever; title is the same for every problem of a slug; detail is about this one. To say when to try
// again, wrap it: fault.Later(after, "%w", problem.New(503, …)).
func New(status int, slug, title, detail string, fields ...Field) error {
	return &Problem{Type: TypePrefix + slug, Title: title, Status: status, Detail: detail, Errors: fields}
}

// Is reports whether err is, or wraps, a problem of this slug.
func Is(err error, slug string) bool {
	var p *Problem
	return errors.As(err, &p) && p.Type == TypePrefix+slug
}

// From makes the document of an error. A Problem in its chain is taken as it is. Otherwise the outermost class decides:
// Invalid 400, NotFound 404, Conflict 409, Unavailable, NotYet and a passed deadline 503, an exceeded
// http.MaxBytesReader 413, anything else 500. What is said of a 5xx is general: the text of such an error is for the
// log, not for the caller.
func From(err error) Problem {
	var classified *fault.Error
	if !errors.As(err, &classified) {
		classified = &fault.Error{Class: fault.Transient}
		if errors.Is(err, context.DeadlineExceeded) {
			classified.Class = fault.Unavailable
		}
	}
	var explicit *Problem
	var tooLarge *http.MaxBytesError
	var p Problem
	switch {
	case errors.As(err, &explicit):
		p = *explicit
		p.Errors = slices.Clone(p.Errors)
	case errors.As(err, &tooLarge):
		p = problem(http.StatusRequestEntityTooLarge, SlugTooLarge, "Body too large",
			"the body must not be larger than "+strconv.FormatInt(tooLarge.Limit, 10)+" bytes")
	default:
		p = ofClass(err, classified)
	}
	p.RetryAfter = cmp.Or(p.RetryAfter, classified.RetryAfter)
	if p.RetryAfter == 0 && p.Status == http.StatusServiceUnavailable {
		p.RetryAfter = time.Second
	}
	return p.bounded()
}

// problem is a document without fields.
func problem(status int, slug, title, detail string) Problem {
	return Problem{Type: TypePrefix + slug, Title: title, Status: status, Detail: detail}
}

// ofClass says what the class says: the text of the classified error itself, without what it was wrapped in on its way.
func ofClass(err error, e *fault.Error) Problem {
	switch e.Class {
	case fault.Invalid:
		p := problem(http.StatusBadRequest, SlugInvalid, "Invalid request", e.Error())
		p.Errors = fields(err, nil)
		if len(p.Errors) > 1 {
			p.Detail = strconv.Itoa(len(p.Errors)) + " fields are not valid"
		}
		return p
	case fault.NotFound:
		return problem(http.StatusNotFound, SlugNotFound, "Not found", e.Error())
	case fault.Conflict:
		return problem(http.StatusConflict, SlugConflict, "Conflict", e.Error())
	case fault.Unavailable, fault.NotYet, fault.Deferred:
		return problem(http.StatusServiceUnavailable, SlugUnavailable, "Temporarily unavailable",
			"Something this request needs is not available right now. Trying again is safe.")
	}
	return problem(http.StatusInternalServerError, SlugInternal, "Internal error",
		"Something went wrong on our side. It was logged under the trace id.")
}

// fields collects every field named in the tree of err, in order, joined errors included.
func fields(err error, found []Field) []Field {
	if e, ok := err.(*fault.Error); ok && e.Field != "" { //nolint:errorlint // walks the tree itself, node by node
		return append(found, Field{Field: e.Field, Detail: e.Unwrap().Error()})
	}
	switch u := err.(type) { //nolint:errorlint // as above
	case interface{ Unwrap() error }:
		if inner := u.Unwrap(); inner != nil {
			return fields(inner, found)
		}
	case interface{ Unwrap() []error }:
		for _, inner := range u.Unwrap() {
			found = fields(inner, found)
		}
	}
	return found
}

// bounded cuts what a hostile request could make long.
func (p Problem) bounded() Problem {
	p.Detail = short(p.Detail)
	if len(p.Errors) > maxFields {
		p.Errors = p.Errors[:maxFields]
	}
	for i := range p.Errors {
		p.Errors[i].Field, p.Errors[i].Detail = short(p.Errors[i].Field), short(p.Errors[i].Detail)
	}
	return p
}

// short cuts a text to maxDetail bytes, between characters.
func short(s string) string {
	if len(s) <= maxDetail {
		return s
	}
	return strings.ToValidUTF8(s[:maxDetail], "") + "…"
}
