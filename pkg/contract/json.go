package contract

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/troupe-dev/troupe/pkg/fault"
)

// maxDepth of nested objects and arrays: no contract here comes near it, and a reader of each depth takes stack.
const maxDepth = 16

// maxNumber bounds how long a number is that has a fraction or an exponent, and that exponent.
const maxNumber = 400

// plainJSON refuses what Go's decoder would quietly mend or choose from: bytes that are no UTF-8, half a surrogate
// pair, a key given twice, more after the value. It returns the body with every whole number written as that decoder
// takes one: 155.0 and 1.55e2 are integers to JSON Schema (2020-12, 6.1.1).
func plainJSON(body []byte) ([]byte, error) {
	switch {
	case len(bytes.TrimSpace(body)) == 0:
		return nil, fault.Field("body", "is required: a JSON object")
	case !utf8.Valid(body):
		return nil, fault.Field("body", "must be valid UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	w := walker{d: d, body: body}
	if err := w.value(nil); err != nil {
		if _, ok := errors.AsType[*fault.Error](err); ok {
			return nil, err
		}
		return nil, fault.Field("body", "must be one JSON object; it cannot be read from byte %d on", d.InputOffset())
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fault.Field("body", "must be one JSON object with nothing after it; it ends at byte %d", d.InputOffset())
	}
	return append(w.plain, body[w.copied:]...), nil
}

// walker reads a body token by token.
type walker struct {
	d      *json.Decoder // of body; it says where a token ends
	body   []byte
	plain  []byte // the first copied bytes of body, with whole numbers rewritten
	copied int64
}

// value reads one value at a path; its errors are those of the decoder, or name the field.
func (w *walker) value(path []string) error {
	t, err := w.d.Token()
	if err != nil {
		return err
	}
	switch t := t.(type) {
	case json.Delim:
		if len(path) >= maxDepth {
			return fault.Field("body", "must not be nested deeper than %d", maxDepth)
		}
		return w.members(path, t == '{')
	case json.Number:
		n, ok := whole(string(t))
		if !ok {
			return fault.Field(pointer(path), "must be a number of at most %d digits", maxNumber)
		}
		if end := w.d.InputOffset(); n != string(t) {
			w.plain = append(append(w.plain, w.body[w.copied:end-int64(len(t))]...), n...)
			w.copied = end
		}
	case string:
		if strings.ContainsRune(t, utf8.RuneError) {
			return fault.Field(pointer(path), "must be valid Unicode")
		}
	}
	return nil
}

// members reads what an object or an array holds, and its end.
func (w *walker) members(path []string, object bool) error {
	seen := map[string]bool{}
	for i := 0; w.d.More(); i++ {
		key := strconv.Itoa(i)
		if object {
			t, err := w.d.Token()
			if err != nil {
				return err
			}
			key, _ = t.(string) // the decoder lets nothing else be a key
		}
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

// whole is a number without fraction and exponent where it is a whole one, and as it is otherwise; ok is false when it
// is too long.
func whole(number string) (n string, ok bool) {
	if !strings.ContainsAny(number, ".eE") {
		return number, true
	}
	_, exponent, _ := strings.Cut(strings.ToLower(number), "e")
	if n, err := strconv.Atoi(cmp.Or(exponent, "0")); err != nil || max(n, -n, len(number)) > maxNumber {
		return "", false
	}
	if value, ok := new(big.Rat).SetString(number); ok && value.IsInt() {
		return value.Num().String(), true
	}
	return number, true
}

// pointer is the JSON pointer (RFC 6901) of a path; of the whole document, which has an empty one, the word body.
func pointer(path []string) string {
	if len(path) == 0 {
		return "body"
	}
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	text := ""
	for _, p := range path {
		text += "/" + escape.Replace(p)
	}
	return text
}
