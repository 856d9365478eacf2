package orders

import (
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/chain"
	"github.com/troupe-dev/troupe/pkg/event"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

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
		got := &Order{ID: "o1"}
		if err := got.Read(text); err != nil || !proto.Equal(got, o) {
			t.Fatalf("%v\nkept: %+v\nread: %+v", err, o, got)
		}
		if (o.Own().Sequence > 0) != strings.HasPrefix(text, HasFacts) {
			t.Fatalf("admission cannot tell whether an order has facts: %q", text)
		}
		if n := len(text); n > 0 {
			cut := &Order{ID: "o1"}
			if cut.Read(text[:rapid.IntRange(0, n-1).Draw(t, "cut")]) == nil && proto.Equal(cut, o) {
				t.Fatal("part of an order is all of it")
			}
		}
	})
}
