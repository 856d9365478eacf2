package readmodel_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/troupe-dev/troupe/services/query/internal/readmodel"
	"pgregory.net/rapid"
)

// drawn fills every field of a value, so that none can be forgotten in the stored form.
func drawn(t *rapid.T, v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(rapid.String().Draw(t, "text"))
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(int64(rapid.Int32().Draw(t, "number")))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "flag"))
	case reflect.Struct:
		for i := range v.NumField() {
			drawn(t, v.Field(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			drawn(t, v.Index(i))
		}
	case reflect.Slice:
		if n := rapid.IntRange(0, 3).Draw(t, "length"); n > 0 {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
			for i := range n {
				drawn(t, v.Index(i))
			}
		}
	default:
		t.Fatalf("a document has a %s, which the test does not know", v.Kind())
	}
}

func TestDocumentsSurviveBeingStored(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var d readmodel.Document
		drawn(t, reflect.ValueOf(&d).Elem())
		if len(d.Notes) > 0 { // a document of its own
			d = readmodel.Document{Notes: d.Notes, Updated: d.Updated}
		}
		text := string(readmodel.Append([]byte("before "), d))
		text = strings.TrimPrefix(text, "before ")
		got, err := readmodel.Parse(text)
		if diff := cmp.Diff(d, got); diff != "" || err != nil {
			t.Fatalf("%v: %s", err, diff)
		}
		if _, err := readmodel.Parse(text[:rapid.IntRange(0, len(text)-1).Draw(t, "cut")]); err == nil {
			t.Fatal("half a document is one")
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add("\x02\x06abc")
	f.Add("\x06\x02\x02\x02\x00")
	f.Fuzz(func(_ *testing.T, text string) { _, _ = readmodel.Parse(text) }) // it does not panic, whatever the bytes are
}
