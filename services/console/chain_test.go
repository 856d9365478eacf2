package console_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/projection/rebuild"
	"github.com/troupe-dev/troupe/pkg/view/viewtest"
	"github.com/troupe-dev/troupe/services/console/internal/consoletest"
	parked "github.com/troupe-dev/troupe/services/console/internal/letters"
	"pgregory.net/rapid"
)

// outcome makes the record of what became of a letter, or of a request.
func outcome(d deadletter.Record, order string, partition int) broker.Record {
	d.Order, d.Group = order, "payment"
	return deadletter.Tell(d, partition, time.Now())
}

// chainOf folds records into their one chain.
func chainOf(t testing.TB, records []broker.Record) (c parked.Chain) {
	t.Helper()
	for _, r := range records {
		_, fold, err := parked.Behavior().Note(r)
		if err != nil {
			t.Fatal(err)
		}
		c = fold(c)
	}
	return c
}

// affair is everything that can be said of one order's letters: three parked, a redrive that fails at the second, an edit, a discard.
func affair(w *consoletest.Writer) (letters, requests []broker.Record) {
	id := viewtest.ID("o")
	events := w.Confirmed(id, "c-1")
	var ids []string
	for _, r := range events[:3] {
		behind := ""
		if len(ids) > 0 {
			behind = ids[0]
		}
		l := w.Letter("payment", r, "invalid", "no such currency for ada@example.com", behind)
		d, _ := deadletter.Parse(l)
		ids = append(ids, d.ID)
		letters = append(letters, l)
	}
	p := letters[0].Partition
	redrive, r1 := w.Ask("payment", deadletter.Redrive, id, "", p)
	edit, r2 := w.Ask("payment", deadletter.Edit, id, ids[1], p)
	discard, r3 := w.Ask("payment", deadletter.Discard, id, ids[2], p)
	letters = append(letters,
		outcome(deadletter.Record{Kind: deadletter.Redriven, ID: ids[0], RequestID: redrive}, id, p),
		outcome(deadletter.Record{Kind: deadletter.Failed, ID: ids[1], RequestID: redrive, Class: "permanent", Message: "still no", Redrives: 1, LastFailure: w.Clock}, id, p),
		outcome(deadletter.Record{Kind: deadletter.Closed, RequestID: redrive, Redriven: 1, Waiting: 2, Message: "still no"}, id, p),
		outcome(deadletter.Record{Kind: deadletter.Edited, ID: ids[1], RequestID: edit}, id, p),
		outcome(deadletter.Record{Kind: deadletter.Closed, RequestID: edit, Redriven: 1, Waiting: 1, Class: "conflict", Message: "gone"}, id, p),
		outcome(deadletter.Record{Kind: deadletter.Discarded, ID: ids[2], RequestID: discard}, id, p),
		outcome(deadletter.Record{Kind: deadletter.Closed, RequestID: discard}, id, p),
	)
	for i := range letters {
		letters[i].Offset, letters[i].Time = int64(i), w.Clock
	}
	requests = []broker.Record{r1, r2, r3}
	for i := range requests {
		requests[i].Offset = int64(i)
	}
	return letters, requests
}

func TestChainFollowsWhatIsSaidOfIt(t *testing.T) {
	letters, requests := affair(consoletest.NewWriter())
	for n, want := range []struct {
		waiting  int
		class    string
		redrives int
	}{{1, "invalid", 0}, {2, "invalid", 0}, {3, "invalid", 0}, {2, "invalid", 0}, {2, "permanent", 1}, {2, "permanent", 1}, {1, "invalid", 0}, {1, "invalid", 0}, {0, "", 0}, {0, "", 0}} {
		c := chainOf(t, letters[:n+1])
		head := c.Head()
		if len(c.Letters) != want.waiting || (head == nil) != (want.waiting == 0) || head != nil && (head.Class != want.class || head.Redrives != want.redrives) {
			t.Errorf("after %d records: %d wait, head %+v", n+1, len(c.Letters), head)
		}
		if head != nil && strings.Contains(head.Message, "ada@") {
			t.Errorf("message %q", head.Message)
		}
	}
	c := chainOf(t, slices.Concat(letters, requests))
	states := []string{parked.StateFailed, parked.StateRefused, parked.StateDone}
	for i, q := range c.Asked {
		if a, ok := c.Answer(q.ID); !ok || a.State() != states[i] {
			t.Errorf("%s: %s, not %s", q.Action, a.State(), states[i])
		}
	}
	if a, ok := chainOf(t, requests).Answer(c.Asked[0].ID); !ok || a.State() != parked.StateWaiting {
		t.Errorf("unanswered: %v %s", ok, a.State())
	}
	if _, ok := c.Answer("another"); ok || len(c.Asked) != 3 || len(c.Told) != len(letters) {
		t.Errorf("%d asked, %d told", len(c.Asked), len(c.Told))
	}
}

// However letters and requests are interleaved, the chain is the same; what comes again later changes nothing that one sees.
func TestChainIsTheSameHoweverItArrives(t *testing.T) {
	letters, requests := affair(consoletest.NewWriter())
	want := chainOf(t, slices.Concat(letters, requests))
	rapid.Check(t, func(r *rapid.T) {
		var mixed []broker.Record
		for i, j := 0, 0; i < len(letters) || j < len(requests); {
			if j == len(requests) || i < len(letters) && rapid.Bool().Draw(r, "letter") {
				mixed = append(mixed, letters[i])
				i++
			} else {
				mixed = append(mixed, requests[j])
				j++
			}
		}
		if d := cmp.Diff(want, chainOf(t, mixed)); d != "" {
			r.Fatal(d)
		}
		n := rapid.IntRange(0, len(letters)).Draw(r, "told")
		again := rapid.SliceOf(rapid.SampledFrom(slices.Concat(letters[:n], requests))).Draw(r, "again")
		once, twice := chainOf(t, letters[:n]), chainOf(t, slices.Concat(letters[:n], again))
		if d := cmp.Diff(once.Letters, twice.Letters); d != "" {
			r.Fatalf("after copies: %s", d)
		}
	})
}

// A copy of an older failure comes late: the newer one stays.
func TestLateFailuresDoNotCount(t *testing.T) {
	letters, _ := affair(consoletest.NewWriter())
	d, err := deadletter.Parse(letters[0])
	if err != nil {
		t.Fatal(err)
	}
	fails := func(n int, class string) broker.Record {
		return outcome(deadletter.Record{Kind: deadletter.Failed, ID: d.ID, RequestID: class, Class: class, Redrives: n}, d.Order, letters[0].Partition)
	}
	older, newer := fails(1, "invalid"), fails(2, "conflict")
	if head := chainOf(t, []broker.Record{letters[0], older, newer, older}).Head(); head.Class != "conflict" || head.Redrives != 2 {
		t.Errorf("%+v", head)
	}
}

func TestNamesAreSafeAndDifferent(t *testing.T) {
	seen := map[string]string{}
	for _, s := range []string{
		"o-1", "a b", "", "\xff\xfe", "keyless:o-1", "keyless:a b", "raw:b-1", strings.Repeat("x", 128), strings.Repeat("x", 129), strings.Repeat("x", 300),
		strings.Repeat("y", 300), "../x", "a:b", "keyless:", viewtest.ID("o"),
	} {
		name := deadletter.NameOf(s)
		if was, ok := seen[name]; ok || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-") != "" || len(name) > 400 {
			t.Errorf("%q is called %q, as is %q", s, name, was)
		}
		seen[name] = s
	}
	if id := viewtest.ID("o"); deadletter.NameOf(id) != id || deadletter.NameOf("keyless:"+id) != "keyless:"+id {
		t.Error("plain names are not themselves")
	}
}

// keys reads everything that the read model keeps, without what a task keeps for itself.
func keys(t *testing.T, rdb redis.UniversalClient) map[string]string {
	t.Helper()
	all := map[string]string{}
	names, err := rdb.Keys(t.Context(), "{console:*").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		switch kind := rdb.Type(t.Context(), name).Val(); {
		case strings.HasSuffix(name, "}:meta"), strings.HasSuffix(name, "}:"+rebuild.Key):
		case kind == "string":
			all[name] = rdb.Get(t.Context(), name).Val()
		case kind == "zset":
			all[name] = fmt.Sprint(rdb.ZRangeWithScores(t.Context(), name, 0, -1).Val())
		case kind == "hash":
			all[name] = fmt.Sprint(rdb.HGetAll(t.Context(), name).Val())
		}
	}
	return all
}

// The indexes that grew with each record are those of a fold from the start, and nothing is left of what does not wait any more.
func TestWhatWaitsIsTheSameAfterARebuild(t *testing.T) {
	s := consoletest.New(t)
	stop := s.Play()
	var all []broker.Record
	for i := range 5 {
		id := viewtest.ID(fmt.Sprint(i))
		story := s.Refunded(id, "c-1")
		s.Put(story...)
		s.Caught()
		ids := s.Park("payment", []string{"invalid", "permanent"}[i%2], "no", story[:4]...)
		s.Caught()
		p := story[0].Partition
		request, r := s.Ask("payment", deadletter.Redrive, id, "", p)
		all = append(all, r, outcome(deadletter.Record{Kind: deadletter.Failed, ID: ids[0], RequestID: request, Class: "conflict", Redrives: 1, LastFailure: s.Clock}, id, p))
		if i < 3 {
			for _, letter := range ids {
				all = append(all, outcome(deadletter.Record{Kind: deadletter.Redriven, ID: letter, RequestID: request}, id, p))
			}
		}
	}
	for i, r := range slices.Concat(all, all[:len(all)/2]) { // some of it twice
		s.Put(r)
		if i%4 == 0 {
			s.Caught()
		}
	}
	s.Caught()
	grown := keys(t, s.Redis)
	groups := 0
	for name, text := range grown {
		if strings.Contains(name, ":letters:group:") {
			if !strings.HasSuffix(name, "payment|conflict|troupe.order.v1.OrderPlaced") {
				t.Errorf("%s is left: %s", name, text)
			}
			groups++
		}
	}
	if groups == 0 {
		t.Error("nothing waits")
	}
	stop()
	s.Redis.FlushAll(t.Context())
	s.Play()
	s.Caught()
	if d := cmp.Diff(grown, keys(t, s.Redis)); d != "" {
		t.Error(d)
	}
}

// What waits is kept however old it is; what came back is forgotten as orders are.
func TestOnlyWhatCameBackIsForgotten(t *testing.T) {
	s := consoletest.New(t)
	s.Clock = s.Clock.Add(-60 * 24 * time.Hour)
	waits, came := viewtest.ID("waits"), viewtest.ID("came")
	ids := map[string][]string{}
	for _, id := range []string{waits, came} {
		ids[id] = s.Park("payment", "invalid", "no", s.Placed(id, "c-1"))
	}
	tp := consoletest.LettersOf("payment", came)
	gone := outcome(deadletter.Record{Kind: deadletter.Discarded, ID: ids[came][0], RequestID: "q"}, came, tp.Partition)
	gone.Time = s.Clock
	s.Put(gone)
	s.Play()
	viewtest.Eventually(t, func() string {
		if c := s.Chain("payment", came); c.Participant != "" {
			return "it is still known"
		}
		return ""
	})
	if c := s.Chain("payment", waits); c.Head() == nil {
		t.Error("what waits was forgotten")
	}
	for name := range keys(t, s.Redis) {
		if strings.Contains(name, ":letters:log") {
			t.Errorf("%s is left", name)
		}
	}
}
