// Package jsonhttp sends and reads JSON by HTTP: Read is what a server does with a request, strictly; Call is what a client does.
package jsonhttp

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"

	"github.com/troupe-dev/troupe/pkg/fault"
)

// Read decodes a body of at most so many bytes into a struct. The error is Invalid, and names the field at fault where
// there is one, or that of a body that is too large.
func Read(w http.ResponseWriter, r *http.Request, most int64, into any) error {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	err = d.Decode(into)
	wrongType, isType := errors.AsType[*json.UnmarshalTypeError](err)
	unknown, isUnknown := strings.CutPrefix(text(err), "json: unknown field ")
	switch {
	case isType && wrongType.Field != "":
		return fault.Field("/"+wrongType.Field, "must be %s, not %s", kind(wrongType.Type), wrongType.Value)
	case isUnknown:
		return fault.Field("/"+strings.Trim(unknown, `"`), "is not known here")
	case err != nil:
		return fault.New(fault.Invalid, "the body must be a JSON object: %w", err)
	case raw[bytes.IndexFunc(raw, notSpace)] != '{': // null
		return fault.New(fault.Invalid, "the body must be a JSON object")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fault.New(fault.Invalid, "the body must be one JSON object and nothing after it")
	}
	return nil
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func notSpace(r rune) bool { return !strings.ContainsRune(" \t\r\n", r) }

func kind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	default:
		return "of type " + t.Kind().String()
	}
}
