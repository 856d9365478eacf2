package query_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/projection"
	"github.com/troupe-dev/troupe/pkg/view"
	"github.com/troupe-dev/troupe/pkg/view/viewtest"
	"github.com/troupe-dev/troupe/schemas/storiestest"
	"github.com/troupe-dev/troupe/services/query"
	"github.com/troupe-dev/troupe/services/query/internal/querytest"
	"github.com/troupe-dev/troupe/services/query/internal/readmodel"
	"pgregory.net/rapid"
)

// ways are those an order can go.
var ways = map[string]func(*querytest.Writer, string, string) []broker.Record{
	"confirmed": (*querytest.Writer).Confirmed,
	"declined":  (*querytest.Writer).Declined,
	"refunded":  (*querytest.Writer).Refunded,
	"placed": func(w *querytest.Writer, id, customer string) []broker.Record {
		return []broker.Record{w.Placed(id, customer)}
	},
}

// placed gives the records the offsets of their logs, as if nothing else was there.
func placed(records []broker.Record) []broker.Record {
	next := map[string]int64{}
	for i, r := range records {
		records[i].Offset = next[r.Topic]
		next[r.Topic]++
	}
	return records
}

func TestDocumentOfEachStory(t *testing.T) {
	for name, c := range map[string]struct {
		status, payment, reason string
		settledBy, firstBy      int // place in the story of the settling event; -1: none
		mails                   []string
	}{
		"placed":    {"placed", "pending", "", -1, -1, nil},
		"confirmed": {"confirmed", "succeeded", "", 2, 2, []string{"confirmed"}},
		"declined":  {"cancelled", "declined", "payment_declined", 2, 2, []string{"cancelled"}},
		"refunded":  {"cancelled", "refunded", "customer", 7, 2, []string{"confirmed", "cancelled", "refunded"}},
	} {
		t.Run(name, func(t *testing.T) {
			records := placed(ways[name](querytest.NewWriter(), viewtest.ID("o"), "c-1"))
			d := query.FoldOrder(records)
			if string(d.Status()) != c.status || d.PaymentStatus() != c.payment || d.Order.Reason != c.reason {
				t.Errorf("%s, payment %s, reason %q", d.Status(), d.PaymentStatus(), d.Order.Reason)
			}
			for what, at := range map[string]struct {
				got view.Moment
				by  int
			}{"settled": {d.Settled(), c.settledBy}, "settled first": {d.FirstSettled(), c.firstBy}} {
				var want view.Moment
				if at.by >= 0 {
					e, err := event.FromRecord(records[at.by])
					if err != nil {
						t.Fatal(err)
					}
					want = view.At(e.Time)
				}
				if at.got != want {
					t.Errorf("%s at %v, not %v", what, at.got.Time(), want.Time())
				}
			}
			var mails []string
			for _, m := range d.Mails {
				mails = append(mails, m.Kind)
			}
			if !slices.Equal(mails, c.mails) {
				t.Errorf("mails %v, not %v", mails, c.mails)
			}
			if len(d.Events) != len(records) {
				t.Errorf("%d events of %d", len(d.Events), len(records))
			}
		})
	}
}

// A cancelled order whose payment was charged is open until the refund.
func TestCancelledIsNotSettledBeforeTheRefund(t *testing.T) {
	records := placed(querytest.NewWriter().Refunded(viewtest.ID("o"), "c-1"))
	for n := range records {
		d := query.FoldOrder(records[:n+1])
		want := n >= 2 && n != 5 && n != 6 // confirmed, then cancelled and mailed
		if (d.Settled() != 0) != want {
			t.Errorf("after %d events (%s, payment %s): settled %v", n+1, d.Status(), d.PaymentStatus(), !want)
		}
	}
}

func TestDocumentHoldsNothingPrivate(t *testing.T) {
	for name, story := range ways {
		text, err := json.Marshal(query.FoldOrder(placed(story(querytest.NewWriter(), viewtest.ID("o"), "c-1"))))
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{storiestest.Email, "ada", storiestest.PaymentMethod} {
			if strings.Contains(string(text), secret) {
				t.Errorf("the document of a %s order holds %q: %s", name, secret, text)
			}
		}
	}
}

// However the topics are interleaved and however often parts come again, the document is the same.
func TestFoldIsCommutativeAndIdempotent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(slices.Sorted(maps.Keys(ways))).Draw(t, "story")
		records := placed(ways[name](querytest.NewWriter(), viewtest.ID("o"), "c-1"))
		want := query.FoldOrder(records)
		sources := map[string][]broker.Record{}
		for _, r := range records {
			sources[r.Topic] = append(sources[r.Topic], r)
		}
		var mixed []broker.Record
		next := map[string]int{}
		for len(sources) > 0 {
			topic := rapid.SampledFrom(slices.Sorted(maps.Keys(sources))).Draw(t, "topic")
			mixed = append(mixed, sources[topic][next[topic]])
			if next[topic]++; rapid.IntRange(0, 3).Draw(t, "again") == 0 {
				next[topic] = rapid.IntRange(0, next[topic]).Draw(t, "from")
			}
			if next[topic] == len(sources[topic]) {
				delete(sources, topic)
			}
		}
		if d := cmp.Diff(want, query.FoldOrder(mixed)); d != "" {
			t.Fatalf("another document: %s", d)
		}
	})
}

// What Index writes step by step is what the documents say: no step counts twice, none is forgotten, and a document that is
// forgotten takes everything with it.
func TestIndexesAndCountersAreSumsOverDocuments(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := querytest.NewWriter()
		keys := map[string]map[string]int64{}
		apply := func(id string, before, after query.Document) {
			in := new(projection.Writes).Begin("")
			readmodel.Index(in, id, before, after)
			for _, op := range in.Ops(nil) {
				if keys[op.Key] == nil {
					keys[op.Key] = map[string]int64{}
				}
				switch op.Cmd {
				case "ZADD":
					keys[op.Key][op.Args[1]], _ = strconv.ParseInt(op.Args[0], 10, 64)
				case "ZREM":
					delete(keys[op.Key], op.Args[0])
				case "HINCRBY":
					n, _ := strconv.ParseInt(op.Args[1], 10, 64)
					keys[op.Key][op.Args[0]] += n
				case "EXPIREAT":
				default:
					t.Fatalf("unexpected command %s", op.Cmd)
				}
			}
		}
		docs := map[string]query.Document{}
		status := map[readmodel.Status]int{}
		for i := range rapid.IntRange(1, 5).Draw(t, "orders") {
			name := rapid.SampledFrom(slices.Sorted(maps.Keys(ways))).Draw(t, "story")
			id := viewtest.ID(fmt.Sprint(i))
			records := placed(ways[name](w, id, "c-1"))
			first := rapid.IntRange(0, len(records)-1).Draw(t, "first") // events of other topics may come before the first
			records = append(records[first:], records[:first]...)
			for n := range records {
				doc := query.FoldOrder(records[:n+1])
				apply(id, docs[id], doc)
				docs[id] = doc
			}
			status[docs[id].Status()]++
		}
		for _, s := range readmodel.Statuses {
			if n := len(keys["status:"+string(s)]); n != status[s] {
				t.Fatalf("%d orders are indexed as %s, not %d", n, s, status[s])
			}
		}
		if n := len(keys["all"]); n != len(docs) {
			t.Fatalf("%d orders in the index of all, not %d", n, len(docs))
		}
		for id, doc := range docs {
			apply(id, doc, query.Document{})
		}
		for key, fields := range keys {
			for field, n := range fields {
				if n != 0 {
					t.Fatalf("%s %s is %d when every order is forgotten", key, field, n)
				}
			}
		}
	})
}

func TestEventsOfADocumentAreBounded(t *testing.T) {
	var forward, backward query.Document
	for i := range int64(2 * readmodel.MaxEvents) {
		forward = forward.WithEvent(1, i, time.Unix(1, 0))
		backward = backward.WithEvent(1, 2*readmodel.MaxEvents-1-i, time.Unix(1, 0))
	}
	if d := cmp.Diff(forward, backward); d != "" || len(forward.Events) != readmodel.MaxEvents {
		t.Errorf("%d events: %s", len(forward.Events), d)
	}
}
