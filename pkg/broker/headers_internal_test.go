package broker

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go/protocol"
)

// oddHeaders are null, empty, without a name, repeated and long.
var oddHeaders = []protocol.Header{
	{Key: "empty", Value: []byte{}}, {Key: "null"}, {Key: "", Value: []byte("no name")}, {Key: "null", Value: []byte("again")},
	{Key: strings.Repeat("long ", 100), Value: bytes.Repeat([]byte("long "), 2000)}, {Key: strings.Repeat("k", 63), Value: bytes.Repeat([]byte("v"), 64)},
}

func headersOf(all []protocol.Header) (h Headers) {
	for _, one := range all {
		h = h.Append(one.Key, one.Value)
	}
	return h
}

func listed(h Headers) (all []protocol.Header) {
	for key, value := range h.All() {
		all = append(all, protocol.Header{Key: key, Value: value})
	}
	return all
}

func TestHeaders(t *testing.T) {
	h := headersOf(oddHeaders)
	if got := listed(h); !reflect.DeepEqual(got, oddHeaders) {
		t.Errorf("got  %q\nwant %q", got, oddHeaders)
	}
	for key := range h.All() {
		if key != "empty" {
			t.Errorf("%q comes after the end", key)
		}
		break
	}
	for key, want := range map[string]string{"empty": "", "null": "again", "": "no name"} {
		if got, ok := h.Last(key); !ok || got == nil || string(got) != want {
			t.Errorf("the last %q is %q, %v", key, got, ok)
		}
	}
	if got, ok := h.Last("none"); ok || got != nil {
		t.Errorf("there is a %q", got)
	}
	before := slices.Clone(h)
	without := h.Without(func(key string) bool { return key == "null" })
	if got := listed(without); !reflect.DeepEqual(got, append(oddHeaders[:1:1], append(oddHeaders[2:3:3], oddHeaders[4:]...)...)) {
		t.Errorf("without one it is %q", got)
	}
	if without.Append("null", []byte("new")); !slices.Equal(h, before) {
		t.Errorf("after that it is itself %q", h)
	}
	if got := HeadersOf("a", "1", "a", ""); !slices.Equal(got, headersOf([]protocol.Header{{Key: "a", Value: []byte("1")}, {Key: "a", Value: []byte{}}})) {
		t.Errorf("of pairs it is %q", got)
	}
	if got := h.Without(func(string) bool { return true }); got != nil || !got.Valid() || HeadersOf() != nil {
		t.Errorf("none is %q", got)
	}
	for n, ends := 0, ends(h); n <= len(h); n++ {
		if got := h[:n].Valid(); got != slices.Contains(ends, n) {
			t.Errorf("the first %d bytes are valid: %v", n, got)
		}
	}
}

// ends are where headers end.
func ends(h Headers) []int {
	at := []int{0}
	for key, value := range h.All() {
		at = append(at, at[len(at)-1]+len(Headers{}.Append(key, value)))
	}
	return at
}

// Any bytes can be gone through. Those that are valid are written again as they are read.
func FuzzHeaders(f *testing.F) {
	f.Add([]byte(headersOf(oddHeaders)))
	f.Add([]byte("\x02a\x01\x7fb"))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02"))
	f.Fuzz(func(t *testing.T, text []byte) {
		h := Headers(text)
		all := listed(h)
		again := headersOf(all)
		if !again.Valid() || !reflect.DeepEqual(listed(again), all) {
			t.Errorf("%q is %q, and then %q", h, all, again)
		}
		r, ok := decodedWith(text, len(all))
		if len(all) < 64 && (!ok || !reflect.DeepEqual(listed(r.Headers), all) || !r.Headers.Valid()) {
			t.Errorf("a record with %q has %q", text, r.Headers)
		}
		if _, ok := decodedWith(text, len(all)+1); len(all) < 63 && h.Valid() && ok {
			t.Errorf("a record with one more than %q has %q", text, r.Headers)
		}
	})
}

// decodedWith is a record without key and value, and with so many headers, if it can be decoded.
func decodedWith(headers []byte, n int) (Record, bool) {
	body := append([]byte{0, 0, 0, 1, 1, byte(2 * min(n, 63))}, headers...)
	head := appendBatch(0, time.UnixMilli(1), []Record{{Key: []byte{}}})[:61]
	raw := slices.Concat(head, binary.AppendVarint(nil, int64(len(body))), body)
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
	got, _, err := decode(readFrom, fetchedRaw(seal(raw)), new(int))
	return got[0], err == nil && got[0].Unreadable == nil
}
