package readmodel_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/pkg/view"
	"github.com/troupe-dev/troupe/pkg/view/viewtest"
	"github.com/troupe-dev/troupe/services/query/internal/querytest"
	"github.com/troupe-dev/troupe/services/query/internal/readmodel"
)

func token(t *testing.T, m *readmodel.Model, text string) *readmodel.Token {
	t.Helper()
	token, err := m.ParseToken(text)
	if err != nil {
		t.Fatal(err)
	}
	return &token
}

func TestReadWaitsForItsToken(t *testing.T) {
	s := querytest.New(t)
	s.Play()
	s.Caught()
	id := viewtest.ID("o")
	story := s.Confirmed(id, "c-1")
	for n, r := range story {
		after := token(t, s.Model, s.Put(r))
		f, err := s.Model.Order(t.Context(), id, readmodel.Want{After: after, Wait: 20 * time.Second})
		if n == 0 && f.Status() != readmodel.Placed {
			t.Errorf("the placed order is %q", f.Status())
		}
		if err != nil || f.Version < uint64(n+1) {
			t.Fatalf("after event %d: version %d, %v", n+1, f.Version, err)
		}
	}
	// A token of a record that is not there is waited for, and then refused.
	beyond := token(t, s.Model, event.Token(broker.TopicPartition{Topic: readmodel.Topics[0], Partition: s.Model.Partition(id)}, 1000))
	if _, err := s.Model.Order(t.Context(), id, readmodel.Want{After: beyond, Wait: 10 * time.Millisecond}); !problem.Is(err, view.SlugBehind) {
		t.Errorf("read behind its token: %v", err)
	}
	// A token of another partition counts too.
	other := token(t, s.Model, event.Token(broker.TopicPartition{Topic: readmodel.Topics[0], Partition: (s.Model.Partition(id) + 1) % viewtest.Partitions}, 0))
	if _, err := s.Model.Order(t.Context(), id, readmodel.Want{After: other}); !problem.Is(err, view.SlugBehind) {
		t.Errorf("read behind the token of another partition: %v", err)
	}
}

func TestTokensOfOthersAreRefused(t *testing.T) {
	s := querytest.New(t)
	for _, text := range []string{
		"", "hello", event.Token(broker.TopicPartition{Topic: "other.events.v1"}, 1),
		event.Token(broker.TopicPartition{Topic: readmodel.Topics[0], Partition: viewtest.Partitions}, 1),
	} {
		if _, err := s.Model.ParseToken(text); fault.ClassOf(err) != fault.Invalid {
			t.Errorf("token %q: %v", text, err)
		}
	}
}

func TestReadWaitsUntilSettled(t *testing.T) {
	s := querytest.New(t)
	s.Play()
	id := viewtest.ID("o")
	story := s.Refunded(id, "c-1")
	s.Put(story[0])
	s.Caught()
	f, err := s.Model.Order(t.Context(), id, readmodel.Want{Settled: true, Wait: time.Millisecond})
	if err != nil || f.Settled() != 0 || f.Status() != readmodel.Placed {
		t.Errorf("an open order is answered as it is when the wait ends: %v, %v", f, err)
	}
	got := make(chan string, 1)
	go func() {
		f, err := s.Model.Order(t.Context(), id, readmodel.Want{Settled: true, Wait: 20 * time.Second})
		got <- fmt.Sprintln(f.Status(), f.Settled() != 0, err)
	}()
	s.Put(story[1:3]...)
	if answer := <-got; answer != "confirmed true <nil>\n" {
		t.Error(answer)
	}
}

func TestUnknownOrderIsNotFoundOnlyWhenAllIsFolded(t *testing.T) {
	s := querytest.New(t)
	id, unknown := viewtest.ID("o"), viewtest.ID("nobody")
	s.Put(s.Confirmed(id, "c-1")...)
	if _, err := s.Model.Order(t.Context(), id, readmodel.Want{}); !problem.Is(err, view.SlugBehind) {
		t.Errorf("nothing is folded yet: %v", err)
	}
	stop := s.Play()
	s.Caught()
	if _, err := s.Model.Order(t.Context(), unknown, readmodel.Want{Wait: 20 * time.Second}); fault.ClassOf(err) != fault.NotFound {
		t.Errorf("all is folded: %v", err)
	}
	if _, err := s.Model.Known(t.Context(), unknown, nil); fault.ClassOf(err) != fault.NotFound {
		t.Errorf("all is folded: %v", err)
	}
	stop()
	if err := s.Redis.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{id, unknown} {
		if _, err := s.Model.Order(t.Context(), id, readmodel.Want{}); !problem.Is(err, view.SlugBehind) {
			t.Errorf("wiped: %v", err)
		}
		if _, err := s.Model.Known(t.Context(), id, nil); !problem.Is(err, view.SlugBehind) {
			t.Errorf("wiped: %v", err)
		}
	}
	if _, _, err := s.Model.List(t.Context(), readmodel.Filter{}, 0, ""); !problem.Is(err, view.SlugBehind) {
		t.Errorf("wiped: %v", err)
	}
	if _, err := s.Model.Stats(t.Context(), time.Now(), 1); !problem.Is(err, view.SlugBehind) {
		t.Errorf("wiped: %v", err)
	}
	s.Play()
	if f, err := s.Model.Order(t.Context(), id, readmodel.Want{Wait: 20 * time.Second}); err != nil || f.Version != 4 && f.Version == 0 {
		t.Errorf("folded again: %v, %v", f.Version, err)
	}
}

// The topics have no common order: a payment can be there before its order, which then does not exist for readers.
func TestOrderWithoutItsFirstEventIsNotShown(t *testing.T) {
	s := querytest.New(t)
	id := viewtest.ID("o")
	story := s.Confirmed(id, "c-1")
	s.Put(story[1])
	s.Play()
	s.Caught()
	if _, err := s.Model.Order(t.Context(), id, readmodel.Want{}); fault.ClassOf(err) != fault.NotFound {
		t.Errorf("a payment alone: %v", err)
	}
	if page, _, err := s.Model.List(t.Context(), readmodel.Filter{}, 0, ""); err != nil || len(page) != 0 {
		t.Errorf("a payment alone is listed: %v, %v", page, err)
	}
	s.Put(story[0])
	if f, err := s.Model.Order(t.Context(), id, readmodel.Want{Wait: 20 * time.Second}); err != nil || f.PaymentStatus() != "succeeded" {
		t.Errorf("then its order: %v, %v", f, err)
	}
}

// pages reads a whole list, page by page.
func pages(t *testing.T, m *readmodel.Model, f readmodel.Filter, size int) (ids []string) {
	t.Helper()
	token := ""
	for n := 0; n == 0 || token != ""; n++ {
		if n > 200 {
			t.Fatal("the list does not end")
		}
		page, next, err := m.List(t.Context(), f, size, token)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) > size && size > 0 {
			t.Fatalf("a page of %d, not %d", len(page), size)
		}
		for _, o := range page {
			ids = append(ids, o.ID)
		}
		token = next
	}
	return ids
}

func TestListIsNewestFirstWithoutGapsOrRepetitions(t *testing.T) {
	s := querytest.New(t)
	type row struct {
		id, customer string
		at           time.Time
		status       readmodel.Status
	}
	var rows []row
	for i := range 60 {
		r := row{id: viewtest.ID(strconv.Itoa(i)), customer: fmt.Sprint("c-", i%7), at: s.Clock}
		switch i % 3 {
		case 0:
			r.status = readmodel.Placed
			s.Put(s.Placed(r.id, r.customer))
		case 1:
			r.status = readmodel.Confirmed
			s.Put(s.Confirmed(r.id, r.customer)...)
		case 2:
			r.status = readmodel.Cancelled
			s.Put(s.Declined(r.id, r.customer)...)
		}
		if i >= 20 && i < 45 {
			s.Clock = r.at // many orders in one millisecond
		}
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b row) int {
		if d := b.at.Compare(a.at); d != 0 {
			return d
		}
		return strings.Compare(b.id, a.id)
	})
	s.Play()
	s.Caught()
	for _, f := range []readmodel.Filter{{}, {Customer: "c-3"}, {Status: readmodel.Confirmed}, {Customer: "c-3", Status: readmodel.Placed}, {Customer: "nobody"}} {
		var want []string
		for _, r := range rows {
			if (f.Customer == "" || f.Customer == r.customer) && (f.Status == "" || f.Status == r.status) {
				want = append(want, r.id)
			}
		}
		for _, size := range []int{0, 1, 2, 7, 1000} {
			if got := pages(t, s.Model, f, size); !slices.Equal(got, want) {
				t.Errorf("%+v in pages of %d: %d orders, not %d", f, size, len(got), len(want))
			}
		}
	}
}

func TestPageTokensOfOthersAreRefused(t *testing.T) {
	s := querytest.New(t)
	for i := range 3 {
		s.Put(s.Placed(viewtest.ID(strconv.Itoa(i)), "c-1"))
	}
	s.Play()
	s.Caught()
	_, next, err := s.Model.List(t.Context(), readmodel.Filter{}, 1, "")
	if err != nil || next == "" {
		t.Fatal(next, err)
	}
	for token, f := range map[string]readmodel.Filter{next: {Customer: "c-1"}, "e30": {}, "x": {}, "****": {}} {
		if _, _, err := s.Model.List(t.Context(), f, 1, token); fault.ClassOf(err) != fault.Invalid {
			t.Errorf("token %q with %+v: %v", token, f, err)
		}
	}
}

func TestStatsAddUp(t *testing.T) {
	s := querytest.New(t)
	minute := time.Now().UTC().Truncate(time.Minute)
	for i := range 30 {
		s.Clock = minute.Add(-time.Duration(i%3) * time.Minute)
		id := viewtest.ID(strconv.Itoa(i))
		switch {
		case i < 20:
			s.Put(s.Confirmed(id, "c-1")...) // 2 ms from placed to confirmed
		case i < 26:
			s.Put(s.Declined(id, "c-1")...)
		case i < 28:
			s.Put(s.Refunded(id, "c-1")...)
		default:
			s.Put(s.Placed(id, "c-1"))
		}
	}
	s.Clock = minute.Add(-5 * time.Hour)
	s.Put(s.Confirmed(viewtest.ID("long ago"), "c-1")...)
	s.Play()
	s.Caught()
	stats, err := s.Model.Stats(t.Context(), minute.Add(30*time.Second), 5)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(stats.ByStatus[readmodel.Placed], stats.ByStatus[readmodel.Confirmed], stats.ByStatus[readmodel.Cancelled],
		stats.Settled, stats.Settle.Count); got != "2 21 8 29 29" {
		t.Errorf("placed, confirmed, cancelled, settled, measured: %s", got)
	}
	var orders, revenue int64
	for i, m := range stats.Minutes {
		if want := minute.Add(time.Duration(i-4) * time.Minute); !m.Start.Equal(want) {
			t.Errorf("minute %d starts at %v, not %v", i, m.Start, want)
		}
		orders += m.Orders
		revenue += m.Revenue["EUR"]
	}
	if orders != 30 || stats.Minutes[4].Orders != 10 || revenue != 22*2500 {
		t.Errorf("%d orders, %d in the last minute, revenue %d", orders, stats.Minutes[4].Orders, revenue)
	}
	for _, q := range []float64{.01, .5, .99, 1} {
		if p := stats.Settle.Percentile(q); p < 2 || p > 2.1 {
			t.Errorf("percentile %v of 2 ms: %v ms", q, p)
		}
	}
	if p := (readmodel.SettleTimes{}).Percentile(.5); p != 0 {
		t.Errorf("percentile of nothing: %v", p)
	}
}
