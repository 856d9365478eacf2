package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/troupe-dev/troupe/pkg/fault"
)

// maxDepth of nested objects and arrays.
const maxDepth = 16

// checkJSON refuses what Go's decoder would quietly mend or choose from: bytes that are no UTF-8, half a surrogate pair, a key
// given twice, more after the value, and numbers that are no whole numbers as written (every number of our doors is one).
func checkJSON(body []byte) error {
	switch {
	case len(bytes.TrimSpace(body)) == 0:
		return fault.Field("body", "is required: a JSON object")
	case !utf8.Valid(body):
		return fault.Field("body", "must be valid UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := (&walker{d}).value(nil); err != nil {
		if _, ok := errors.AsType[*fault.Error](err); ok {
			return err
		}
		return fault.Field("body", "must be one JSON object; it cannot be read from byte %d on", d.InputOffset())
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fault.Field("body", "must be one JSON object with nothing after it; it ends at byte %d", d.InputOffset())
	}
	return nil
}

type walker struct{ d *json.Decoder }

// value reads one value at a path; its errors are those of the decoder, or name the field.
func (w *walker) value(path []string) error {
	t, err := w.d.Token()
	if err != nil {
		return err
	}
	switch t := t.(type) {
	case json.Delim:
		switch {
		case len(path) >= maxDepth:
			return fault.Field("body", "must not be nested deeper than %d", maxDepth)
		case t == '{':
			return w.object(path)
		}
		return w.array(path)
	case json.Number:
		if strings.ContainsAny(string(t), ".eE") {
			return fault.Field(pointer(path), "must be a whole number, written without fraction or exponent")
		}
	case string:
		if strings.ContainsRune(t, utf8.RuneError) {
			return fault.Field(pointer(path), "must be valid Unicode")
		}
	}
	return nil
}

func (w *walker) object(path []string) error {
	seen := map[string]bool{}
	for w.d.More() {
		t, err := w.d.Token()
		if err != nil {
			return err
		}
		key, _ := t.(string) // the decoder lets nothing else be a key
		at := slices.Concat(path, []string{key})
		if seen[key] {
			return fault.Field(pointer(at), "must not be given twice")
		}
		seen[key] = true
		if err := w.value(at); err != nil {
			return err
		}
	}
	_, err := w.d.Token()
	return err
}

func (w *walker) array(path []string) error {
	for i := 0; w.d.More(); i++ {
		if err := w.value(slices.Concat(path, []string{strconv.Itoa(i)})); err != nil {
			return err
		}
	}
	_, err := w.d.Token()
	return err
}

// pointer is the JSON pointer (RFC 6901) of a path; of the whole document, which has an empty one, the word body.
func pointer(path []string) string {
	if len(path) == 0 {
		return "body"
	}
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	var b strings.Builder
	for _, p := range path {
		b.WriteString("/" + escape.Replace(p))
	}
	return b.String()
}
