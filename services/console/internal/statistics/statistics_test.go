package statistics_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/schemas/client/queryapi"
	"github.com/troupe-dev/troupe/services/console/internal/consoletest"
	"github.com/troupe-dev/troupe/services/console/internal/orders"
	"github.com/troupe-dev/troupe/services/console/internal/statistics"
)

const name = "statistics.v1"

// stage is a topic, and query with one order confirmed a minute ago and one declined the day before.
type stage struct {
	t     *testing.T
	log   *brokertest.Memory
	query *consoletest.Query
	topic *statistics.Topic
	now   time.Time
}

func begin(t *testing.T) *stage {
	s := &stage{t, brokertest.New(), consoletest.NewQuery(t), nil, time.Now().UTC()}
	s.topic = statistics.New(s.log)
	yesterday := s.now.AddDate(0, 0, -1)
	s.query.Knows(queryapi.Order{ID: "a", Status: "confirmed", Currency: "EUR", Total: 2500, PlacedAt: s.now, ConfirmedAt: s.now,
		Payment: queryapi.Payment{Status: "succeeded", DecidedAt: s.now}})
	s.query.Knows(queryapi.Order{ID: "b", Status: "cancelled", Currency: "EUR", Total: 100, PlacedAt: yesterday,
		Payment: queryapi.Payment{Status: "declined", DecidedAt: yesterday}})
	// Placed before the days that are shown, paid and confirmed in them.
	late := s.day(6)
	s.query.Knows(queryapi.Order{ID: "c", Status: "confirmed", Currency: "JPY", Total: 700, PlacedAt: late.Add(-time.Minute), ConfirmedAt: late,
		Payment: queryapi.Payment{Status: "refunded", DecidedAt: late}})
	s.query.Knows(queryapi.Order{ID: "d", Status: "confirmed", Currency: "JPY", Total: 9, PlacedAt: late.AddDate(0, 0, -2), ConfirmedAt: late.AddDate(0, 0, -2)})
	return s
}

// day is the first moment of the day so many days ago.
func (s *stage) day(ago int) time.Time { return s.now.Truncate(24*time.Hour).AddDate(0, 0, -ago) }

func (s *stage) provision() {
	s.t.Helper()
	if err := s.log.Provision(s.t.Context(), []broker.Topic{{Name: name, Partitions: 1}}); err != nil {
		s.t.Fatal(err)
	}
}

// put appends a record; value nil takes a row back.
func (s *stage) put(key string, value []byte) {
	s.log.Append(broker.TopicPartition{Topic: name}, broker.Record{Key: []byte(key), Value: value, Time: s.now})
}

func of(figure, kind string, since time.Time) string {
	return fmt.Sprintf(`{"figure":%q,"kind":%q,"since":%q}`, figure, kind, since.Format(time.RFC3339))
}

// row appends one as the job does.
func (s *stage) row(figure, kind string, since time.Time, n int, amount, share string) {
	key := of(figure, kind, since)
	s.put(key, fmt.Appendf(nil, `%s,"n":%d,"amount":%s,"share":%s}`, strings.TrimSuffix(key, "}"), n, amount, share))
}

// same appends what makes the topic equal to query.
func (s *stage) same() {
	s.row("orders", "confirmed", s.now.Truncate(time.Minute), 1, "2500", "null")
	s.row("orders", "cancelled", s.now.AddDate(0, 0, -1).Truncate(time.Minute), 1, "100", "null")
	s.row("revenue", "EUR", s.day(0), 1, "2500", "null")
	s.row("revenue", "JPY", s.day(6), 1, "700", "null")
	s.row("payments", "declined", s.day(0), 1, "null", "0")
	s.row("payments", "declined", s.day(1), 1, "null", "1")
	s.row("payments", "declined", s.day(6), 1, "null", "0")
}

func (s *stage) panel() statistics.Panel {
	s.t.Helper()
	p, err := s.topic.Panel(s.t.Context(), orders.New(s.query.URL, "", auth.Credentials{}))
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

// lines are those of all figures, each as one text.
func lines(p statistics.Panel) (all []string) {
	for _, f := range p.Figures {
		for _, l := range f.Lines {
			all = append(all, strings.Join([]string{f.Name, l.Of, l.Topic, l.Query, l.State}, " | "))
		}
	}
	return all
}

func (s *stage) shows(want ...string) {
	s.t.Helper()
	if diff := cmp.Diff(want, lines(s.panel())); diff != "" {
		s.t.Errorf("(-want +got):\n%s", diff)
	}
}

func (s *stage) equal() []string {
	at := func(ago int) string { return s.day(ago).Format(time.DateOnly) }
	return []string{
		"orders | cancelled | 1 | 1 | equal", "orders | confirmed | 1 | 1 | equal",
		"revenue | " + at(0) + " | 25.00 EUR from 1 confirmed | 25.00 EUR from 1 confirmed | equal",
		"revenue | " + at(6) + " | 700 JPY from 1 confirmed | 700 JPY from 1 confirmed | equal",
		"payments | " + at(0) + " | 0.0 % of 1 declined | 0.0 % of 1 declined | equal",
		"payments | " + at(1) + " | 100.0 % of 1 declined | 100.0 % of 1 declined | equal",
		"payments | " + at(6) + " | 0.0 % of 1 declined | 0.0 % of 1 declined | equal",
	}
}

// The newest record of a key counts, one without a value takes the row back, and the same minute may have several outcomes.
func TestTotalsAreTheNewestOfEachKey(t *testing.T) {
	s := begin(t)
	s.provision()
	minute := s.now.Truncate(time.Minute)
	s.row("orders", "placed", minute, 1, "2500", "null")
	s.row("revenue", "EUR", s.day(0), 7, "1", "null")
	s.row("facts: each minute", "troupe.order.v1.OrderPlaced", minute, 5, "null", "null")
	s.row("revenue", "EUR", s.day(7), 7, "1", "null") // older than what is shown
	s.put(of("orders", "placed", minute), nil)
	s.same()
	s.shows(s.equal()...)
	if p := s.panel(); !p.Last.Equal(s.now.Truncate(time.Millisecond)) || p.Uncompared != "" {
		t.Errorf("%+v", p)
	}
	s.row("orders", "confirmed", minute.Add(-time.Minute), 2, "5000", "null")
	s.row("payments", "declined", s.day(0), 3, "null", "0.3333333333333333")
	s.put(of("revenue", "JPY", s.day(6)), nil)
	want := s.equal()
	want[1] = "orders | confirmed | 3 | 1 | different"
	want[3] = "revenue | " + s.day(6).Format(time.DateOnly) + " | – | 700 JPY from 1 confirmed | different"
	want[4] = "payments | " + s.day(0).Format(time.DateOnly) + " | 33.3 % of 3 declined | 0.0 % of 1 declined | different"
	s.shows(want...)
}

// What this version cannot read is told once, by its place, and takes nothing away.
func TestAnotherVersionIsPassedOver(t *testing.T) {
	var said bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&said, nil)))
	defer slog.SetDefault(before)
	s := begin(t)
	s.provision()
	s.same()
	key := of("revenue", "EUR", s.day(0))
	s.put(key, []byte(`{"version":2,"n":1}`))
	s.put(key, []byte(`{"n":"one"}`))
	s.put(key, []byte(`{"n":1}{"n":2}`))
	s.put(key, []byte{0, 1, 2})
	s.put(`{"figure":"revenue","currency":"EUR"}`, []byte(`{"n":1}`))
	s.put(`{}`, nil)
	s.put("", nil)
	s.shows(s.equal()...)
	if n := strings.Count(said.String(), "\n"); n != 7 {
		t.Errorf("%d lines were logged, not 7:\n%s", n, said.String())
	}
	for _, want := range []string{
		`topic=statistics.v1 partition=0 offset=7 error="value: json: unknown field \"version\""`, `offset=11 error="key: json: unknown field \"currency\""`,
		`offset=12 error="key: figure and since must be set"`, `offset=13 error="key: EOF"`,
	} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("%s is not said in:\n%s", want, said.String())
		}
	}
}

// Without a topic there is nothing to show, and nobody makes one.
func TestAMissingTopicIsNoError(t *testing.T) {
	s := begin(t)
	missing := func() {
		t.Helper()
		if _, err := s.topic.Panel(t.Context(), nil); fault.ClassOf(err) != fault.NotFound {
			t.Error(err)
		}
	}
	missing()
	if ids, err := s.log.Identities(t.Context(), []string{name}); err != nil || len(ids) > 0 {
		t.Errorf("%v, %v", ids, err)
	}
	s.provision()
	missing()
	s.same()
	s.shows(s.equal()...)
	s.log.Recreate(name)
	missing()
	s.row("orders", "confirmed", s.now.Truncate(time.Minute), 4, "1", "null")
	if got := lines(s.panel()); !slices.Contains(got, "orders | confirmed | 4 | 1 | different") || !slices.Contains(got, "orders | cancelled | – | 1 | different") {
		t.Errorf("what the deleted topic held is shown: %q", got)
	}
}

// A topic of several partitions is not read in part.
func TestSeveralPartitionsAreRefused(t *testing.T) {
	s := begin(t)
	s.provision()
	s.same()
	s.shows(s.equal()...)
	s.log.Grow(name, 3)
	if _, err := s.topic.Panel(t.Context(), nil); !errors.Is(err, statistics.ErrPartitions) {
		t.Errorf("with three partitions: %v", err)
	}
}

// What query does not say leaves the topic's figures.
func TestTheTopicIsShownWithoutQuery(t *testing.T) {
	s := begin(t)
	s.provision()
	s.same()
	s.query.Down(true)
	alone := func(why string) {
		t.Helper()
		p := s.panel()
		if got := lines(p); len(got) != 7 || got[1] != "orders | confirmed | 1 | – | not compared" || !strings.Contains(p.Uncompared, why) {
			t.Errorf("%s: %q", p.Uncompared, got)
		}
	}
	alone("not yet")
	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprint(w, `{"orders":[],"next_page_token":"more"}`)
	}))
	defer endless.Close()
	s.query.URL = endless.URL
	alone("more than 2000 orders")
}
