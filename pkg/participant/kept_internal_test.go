package participant

import (
	"context"
	"reflect"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/chain"
	"github.com/troupe-dev/troupe/pkg/event"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

// An order is the same when it was kept, whatever bytes its ids are; a text that is cut off is not the whole.
func TestOrdersSurviveBeingKept(t *testing.T) {
	b := Behavior[string]{
		Name: "clerk", React: func(context.Context, string, event.Message) (proto.Message, error) { return nil, nil },
		Evolve: func(s string, _ event.Message) string { return s },
	}.erase()
	rapid.Check(t, func(t *rapid.T) {
		id := func(what string) string { return string(rapid.SliceOfN(rapid.Byte(), 1, 60).Draw(t, what)) }
		o := newOrder("o1", b.zero())
		if rapid.Bool().Draw(t, "has facts") {
			o.own = chain.Head{Sequence: rapid.Uint64Range(1, 1<<40).Draw(t, "sequence"), ID: event.MakeID(id("own"))}
			o.first, o.trace = rapid.Int64Range(0, 1<<40).Draw(t, "first"), id("trace")
			o.state = rapid.StringN(1, 20, -1).Draw(t, "state")
			o.text, _ = b.encode(o.state)
		}
		for _, topic := range rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{1,9}\.v1`), 0, 4, rapid.ID).Draw(t, "topics") {
			o.setHead(topic, chain.Head{
				Sequence: rapid.Uint64Range(1, 9).Draw(t, "sequence"), ID: event.MakeID(id("head")), Adopted: rapid.Bool().Draw(t, "adopted"),
			})
			if rapid.IntRange(0, 9).Draw(t, "forgotten") == 0 {
				o.setHead(topic, chain.Forgotten())
			}
		}
		for range rapid.IntRange(0, 6).Draw(t, "marks") {
			o.see(id("seen"), rapid.SampledFrom([]string{seenPlain, seenOwing, seenTold}).Draw(t, "how"))
		}
		for range rapid.IntRange(0, 3).Draw(t, "letters") {
			o.park(id("parked"), "desk.v1", time.UnixMilli(rapid.Int64Range(1, 1<<40).Draw(t, "retry")))
		}
		if rapid.Bool().Draw(t, "asked") {
			o.advance(event.MakeID(id("request")), 1)
		}
		o.changed = false

		text := string(o.pack(nil))
		got := newOrder("o1", b.zero())
		if err := got.readText(b, text); err != nil || !reflect.DeepEqual(got, o) {
			t.Fatalf("%v\nkept: %+v\nread: %+v", err, o, got)
		}
		if n := len(text); n > 0 {
			cut := newOrder("o1", b.zero())
			if cut.readText(b, text[:rapid.IntRange(0, n-1).Draw(t, "cut")]) == nil && reflect.DeepEqual(cut, o) {
				t.Fatal("part of an order is all of it")
			}
		}
	})
}
