package orders

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/chain"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/participant/internal/stored"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

func TestGenerations(t *testing.T) {
	const retention, keep = 8 * time.Hour, int64(9 * 3_600_000)
	now := int64(100*keep + keep/2)
	for name, c := range map[string]struct{ stored, next Generation }{
		"first":                          {Generation{}, Generation{100, now}},
		"young":                          {Generation{99, now - keep + 1}, Generation{99, now - keep + 1}},
		"old":                            {Generation{99, now - keep}, Generation{100, now}},
		"old for long, one goes on":      {Generation{7, now - 50*keep}, Generation{8, now}},
		"of a clock that was ahead":      {Generation{99, now + 1}, Generation{99, now}},
		"by its number, of today":        {Generation{100, 0}, Generation{100, 100 * keep}},
		"by its number, gone on by that": {Generation{100, 3 * keep}, Generation{100, 100 * keep}},
		"by its number, long ago":        {Generation{40, 0}, Generation{40, now}},
		"by its number, of another time": {Generation{4000, 0}, Generation{4000, now}},
		"of a shorter retention":         {Generation{4000, now - keep/3}, Generation{4000, now - keep/3}},
	} {
		if got := c.stored.Next(time.UnixMilli(now), retention); got != c.next {
			t.Errorf("%s: %+v, want %+v", name, got, c.next)
		}
	}
}

// An order is the same when it was kept, whatever bytes its ids are; a text that is cut off is not the whole.
func TestOrdersSurviveBeingKept(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := func(what string) string { return string(rapid.SliceOfN(rapid.Byte(), 1, 60).Draw(t, what)) }
		o := &Order{ID: "o1"}
		if rapid.Bool().Draw(t, "has facts") {
			o.Decide(chain.Head{Sequence: rapid.Uint64Range(1, 1<<40).Draw(t, "sequence"), ID: event.MakeID(id("own"))})
			o.AfterFirst, o.Trace = rapid.Int64Range(1, 1<<40).Draw(t, "first"), id("trace")
			o.State = rapid.StringN(1, 20, -1).Draw(t, "state")
		}
		for _, topic := range rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{1,9}\.v1`), 0, 4, rapid.ID).Draw(t, "topics") {
			o.SetHead(topic, chain.Head{
				Sequence: rapid.Uint64Range(1, 9).Draw(t, "sequence"), ID: event.MakeID(id("head")), Adopted: rapid.Bool().Draw(t, "adopted"),
			})
			if rapid.IntRange(0, 9).Draw(t, "forgotten") == 0 {
				o.SetHead(topic, chain.Forgotten())
			}
		}
		for range rapid.IntRange(0, 6).Draw(t, "marks") {
			o.see(id("seen"), rapid.SampledFrom([]Answer{Plain, Owing, Told}).Draw(t, "how"))
		}
		for range rapid.IntRange(0, 3).Draw(t, "letters") {
			o.Park(id("parked"), "desk.v1", time.UnixMilli(rapid.Int64Range(1, 1<<40).Draw(t, "retry")))
		}
		if rapid.Bool().Draw(t, "asked") {
			o.Advance(event.MakeID(id("request")), 1)
		}
		text := string(o.Append(nil))
		o.Changed = false
		got := &Order{ID: "o1"}
		if err := got.Read(text); err != nil || !reflect.DeepEqual(got, o) {
			t.Fatalf("%v\nkept: %+v\nread: %+v", err, o, got)
		}
		// The generated code reads the same, and what it writes is read here; it has the answers by kind.
		var m stored.Order
		if err := proto.Unmarshal([]byte(text), &m); err != nil || len(m.ProtoReflect().GetUnknown()) > 0 {
			t.Fatalf("%v\n%s", err, &m)
		}
		generated, err := proto.Marshal(&m)
		got, same := &Order{ID: "o1"}, *o
		same.answers = slices.SortedStableFunc(slices.Values(o.answers), func(a, b answer) int { return int(a.how - b.how) })
		if err = errors.Join(err, got.Read(string(generated))); err != nil || !reflect.DeepEqual(got, &same) {
			t.Fatalf("%v\nkept: %+v\nread of what the generated code wrote: %+v", err, &same, got)
		}
		if (o.Own().Sequence > 0) != strings.HasPrefix(text, HasFacts) {
			t.Fatalf("admission cannot tell whether an order has facts: %q", text)
		}
		if n := len(text); n > 0 {
			cut := &Order{ID: "o1"}
			if cut.Read(text[:rapid.IntRange(0, n-1).Draw(t, "cut")]) == nil && reflect.DeepEqual(cut, o) {
				t.Fatal("part of an order is all of it")
			}
		}
	})
}

// What reading and writing an order costs, beside the generated code.
func BenchmarkStored(b *testing.B) {
	o := &Order{
		ID: event.MakeID("order"), State: `{"status":"paid","intent_id":"pi_1","amount":1200,"currency":"EUR"}`, AfterFirst: 1000,
		Trace: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
	}
	o.Decide(chain.Head{Sequence: 2, ID: event.MakeID("own")})
	for _, topic := range []string{"order.events.v1", "payment.events.v1"} {
		id := event.MakeID(topic)
		o.SetHead(topic, chain.Head{Sequence: 1, ID: id})
		o.Answered(id)
	}
	o.Answered(event.MakeID("third"))
	text := string(o.Append(nil))
	var m stored.Order
	if err := proto.Unmarshal([]byte(text), &m); err != nil {
		b.Fatal(err)
	}
	buffer := make([]byte, 0, 1024)
	for _, c := range []struct {
		name string
		run  func()
	}{
		{"write", func() { o.Append(buffer) }},
		{"write generated", func() { _, _ = proto.MarshalOptions{}.MarshalAppend(buffer, &m) }},
		{"read", func() { _ = new(Order).Read(text) }},
		{"read generated", func() { _ = proto.Unmarshal([]byte(text), new(stored.Order)) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.run()
			}
		})
	}
}
