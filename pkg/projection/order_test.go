package projection

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/chain"
	"github.com/troupe-dev/troupe/pkg/event"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"pgregory.net/rapid"
)

func TestChainJudges(t *testing.T) {
	of := func(id string, seq uint64, prev string) event.Event {
		return event.Event{ID: id, Sequence: seq, PreviousID: prev}
	}
	var empty, firm, adopted section
	firm.accept(of("a", 1, ""))
	firm.accept(of("b", 2, "a"))
	adopted.accept(of("b", 2, "a"))
	adopted.accept(of("c", 3, "b"))
	asked := section{}
	asked.accept(of("r", 0, ""))
	for _, c := range []struct {
		name  string
		chain section
		event event.Event
		want  chain.Verdict
	}{
		{"first", empty, of("a", 1, ""), chain.Valid},
		{"first seen, log trimmed", empty, of("c", 3, "b"), chain.Valid},
		{"next", firm, of("c", 3, "b"), chain.Valid},
		{"next that names another head", firm, of("c", 3, "x"), chain.Superseded},
		{"gap", firm, of("d", 4, "c"), chain.Superseded},
		{"again", firm, of("b", 2, "a"), chain.Duplicate},
		{"again, an old one", firm, of("a", 1, ""), chain.Duplicate},
		{"another at an old place", firm, of("x", 1, ""), chain.Superseded},
		{"void beside its valid successor's id", firm, of("b", 3, "x"), chain.Superseded},
		{"another under an adopted head", adopted, of("x", 2, "a"), chain.Contradicted},
		{"again under an adopted head", adopted, of("c", 3, "b"), chain.Duplicate},
		{"request", firm, of("r", 0, ""), chain.Valid},
		{"request again", asked, of("r", 0, ""), chain.Duplicate},
	} {
		if got := c.chain.judge(c.event); got != c.want {
			t.Errorf("%s: %d, not %d", c.name, got, c.want)
		}
	}
}

// Ids of other producers may hold any bytes: the chain goes on after it was stored all the same.
func TestChainOfStrangeIDs(t *testing.T) {
	b := chronicle()
	o := newOrder(b, "o")
	prev := ""
	for i, id := range []string{"\xff\xfe", strings.Repeat("long", 1000), "plain"} {
		e := event.Event{ID: id, Sequence: uint64(i + 1), PreviousID: prev, Type: event.TypeOf(&wrapperspb.StringValue{})}
		if j, err := o.take(b, 0, e, At{logOf(talk, "o"), int64(i)}); j != chain.Valid || err != nil {
			t.Fatalf("id %.20q: judged %d, %v", id, j, err)
		}
		text, err := b.append(nil, &o.record)
		if err != nil {
			t.Fatal(err)
		}
		if o, err = loadOrder(b, "o", string(text)); err != nil {
			t.Fatal(err)
		}
		prev = id
	}
}

func TestChainKeepsTheNewestMarks(t *testing.T) {
	var c section
	for i := range maxSeen + 10 {
		c.accept(event.Event{ID: fmt.Sprint("request ", i)})
	}
	if len(c.Seen) != maxSeen*markLen {
		t.Errorf("%d bytes of marks, not %d", len(c.Seen), maxSeen*markLen)
	}
	if c.saw("request 9") || !c.saw("request 10") || !c.saw(fmt.Sprint("request ", maxSeen+9)) {
		t.Error("not the newest marks are kept")
	}
}

// drawTopic draws what a topic may hold about one order: a valid chain, and between its facts copies of earlier ones,
// void facts, requests and their copies.
func drawTopic(t *rapid.T, topic string) []broker.Record {
	var out []broker.Record
	var prev string
	seq := uint64(0)
	add := func(e event.Event) {
		e.Type, e.Source, e.Subject, e.Time = event.TypeOf(&wrapperspb.StringValue{}), "test", "o", time.Unix(int64(len(out)), 0).UTC()
		e.Data, _ = event.Encode(wrapperspb.String(e.ID))
		out = append(out, event.ToRecord(e, topic, 0))
	}
	for range rapid.IntRange(0, 12).Draw(t, "length") {
		switch rapid.IntRange(0, 4).Draw(t, "kind") {
		case 0, 1:
			seq++
			id := event.MakeID(topic, fmt.Sprint(seq))
			add(event.Event{ID: id, Sequence: seq, PreviousID: prev})
			prev = id
		case 2:
			if len(out) > 0 {
				out = append(out, out[rapid.IntRange(0, len(out)-1).Draw(t, "copy")])
			}
		case 3:
			n := rapid.Uint64Range(1, seq+2).Draw(t, "void")
			add(event.Event{ID: event.MakeID(topic, "void", fmt.Sprint(n)), Sequence: n, PreviousID: "nobody"})
		case 4:
			add(event.Event{ID: event.MakeID(topic, "request", rapid.StringMatching("[ab]").Draw(t, "request"))})
		}
	}
	for i := range out {
		out[i].Offset = int64(i)
	}
	return out
}

// Merging is commutative and idempotent: however the sources are interleaved, wherever the work is cut and stored and
// read again, and however often a part of a source is delivered again, the document is the same.
func TestAnyInterleavingGivesTheSameDocument(t *testing.T) {
	b := chronicle()
	rapid.Check(t, func(t *rapid.T) {
		sources := [][]broker.Record{drawTopic(t, talk), drawTopic(t, song)}
		want, version := b.FoldOrder(slices.Concat(sources...))
		o := newOrder(b, "o")
		next := []int{0, 0}
		for next[0] < len(sources[0]) || next[1] < len(sources[1]) {
			s := rapid.IntRange(0, 1).Draw(t, "source")
			if next[s] == len(sources[s]) {
				s = 1 - s
			}
			r := sources[s][next[s]]
			e, err := event.FromRecord(r)
			if err != nil {
				t.Fatal(err)
			}
			at := At{broker.TopicPartition{Topic: r.Topic}, r.Offset}
			if _, err := o.take(b, s, e, at); err != nil {
				t.Fatal(err)
			}
			next[s]++
			if rapid.Bool().Draw(t, "store") {
				text, err := b.append(nil, &o.record)
				if err != nil {
					t.Fatal(err)
				}
				if o, err = loadOrder(b, "o", string(text)); err != nil {
					t.Fatal(err)
				}
			}
			if n := rapid.IntRange(0, 9).Draw(t, "rewind"); n == 0 && next[s] > 0 {
				next[s]--
			}
		}
		if d := cmp.Diff(want, o.Doc); d != "" || o.Version != version {
			t.Fatalf("version %d, not %d: %s", o.Version, version, d)
		}
	})
}

func TestFoldLeavesTheDocumentWhenItPanics(t *testing.T) {
	b := chronicle()
	s := &stage{t: t, heads: map[string]section{}}
	o := newOrder(b, "o")
	for i, word := range []string{"to be", "panic", "or not"} {
		e, err := event.FromRecord(s.fact(talk, "o", word))
		if err != nil {
			t.Fatal(err)
		}
		j, err := o.take(b, 0, e, At{logOf(talk, "o"), int64(i)})
		if j != chain.Valid || (err != nil) != (word == "panic") {
			t.Errorf("%s: judged %d, error %v", word, j, err)
		}
	}
	if got := strings.Join(o.Doc.Talk, ", "); got != "to be, or not" {
		t.Errorf("document: %s", got)
	}
}
