package pack_test

import (
	"testing"

	"github.com/troupe-dev/troupe/pkg/pack"
	"pgregory.net/rapid"
)

func TestWhatIsPackedIsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		numbers := rapid.SliceOf(rapid.Int64()).Draw(t, "numbers")
		texts := rapid.SliceOf(rapid.String()).Draw(t, "texts")
		b := pack.Int(nil, int64(len(numbers)))
		for _, n := range numbers {
			b = pack.Int(b, n)
		}
		for _, s := range texts {
			b = pack.Text(b, s)
		}
		b = pack.Bytes(pack.Bytes(pack.Bytes(b, nil), []byte{}), []byte("bytes"))
		r := pack.Read(string(b) + "rest")
		if n := r.Len(); n != len(numbers) {
			t.Fatalf("%d numbers, not %d", n, len(numbers))
		}
		for _, n := range numbers {
			if got := r.Int(); got != n {
				t.Fatalf("%d, not %d", got, n)
			}
		}
		for _, s := range texts {
			if got := r.Text(); got != s {
				t.Fatalf("%q, not %q", got, s)
			}
		}
		if null, none, some := r.Bytes(), r.Bytes(), r.Bytes(); null != nil || none == nil || len(none) > 0 || string(some) != "bytes" {
			t.Fatalf("nil, none and some are %v, %v and %q", null, none, some)
		}
		if rest := r.Rest(); rest != "rest" || r.Err() != nil {
			t.Fatalf("rest %q, %v", rest, r.Err())
		}
		cut := pack.Read(string(b[:rapid.IntRange(0, len(b)-1).Draw(t, "cut")]))
		for range cut.Len() {
			cut.Int()
		}
		for range texts {
			cut.Text()
		}
		for range 3 {
			cut.Bytes()
		}
		if cut.Err() == nil {
			t.Fatal("nothing is missing")
		}
	})
}

func FuzzRead(f *testing.F) {
	f.Add("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 3)
	f.Fuzz(func(t *testing.T, s string, texts int) {
		r := pack.Read(s)
		if n := r.Len(); n > len(s) {
			t.Fatalf("%d things in %d bytes", n, len(s))
		}
		for range min(max(texts, 0), 10) {
			r.Text()
			r.Bytes()
		}
		if rest := r.Rest(); len(rest) > len(s) || r.Err() != nil && rest != "" {
			t.Fatalf("rest %q, %v", rest, r.Err())
		}
	})
}
