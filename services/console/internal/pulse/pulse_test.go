package pulse_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/view/viewtest"
	"github.com/troupe-dev/troupe/schemas/choreography"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	"github.com/troupe-dev/troupe/services/console/internal/consoletest"
	"github.com/troupe-dev/troupe/services/console/internal/pulse"
)

// stage is a log, and consumers that have committed what the test says.
type stage struct {
	*consoletest.Stage
	cfg pulse.Config
	// behind are offsets that a group has committed, by group and log; where there are none, it is at the end.
	behind map[string]map[broker.TopicPartition]int64
	alone  map[string]bool // groups without members
	down   error
}

func open(t *testing.T) *stage {
	t.Helper()
	c, err := choreography.Load()
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{Stage: consoletest.New(t), behind: map[string]map[broker.TopicPartition]int64{}, alone: map[string]bool{}}
	s.cfg = pulse.Config{Log: s.Log, Groups: s, Choreography: c, Partitions: viewtest.Partitions}
	return s
}

func (s *stage) Group(ctx context.Context, group string, logs []broker.TopicPartition) (broker.Standing, error) {
	ends, err := s.Log.Ends(ctx, logs)
	maps.Copy(ends, s.behind[group])
	standing := broker.Standing{Members: 1, Committed: ends}
	if s.alone[group] {
		standing.Members = 0
	}
	return standing, errors.Join(err, s.down)
}

// hold makes a group wait before a record that was put last in its log.
func (s *stage) hold(group string, r broker.Record) {
	tp := broker.TopicPartition{Topic: r.Topic, Partition: r.Partition}
	ends, err := s.Log.Ends(s.T.Context(), []broker.TopicPartition{tp})
	if err != nil {
		s.T.Fatal(err)
	}
	s.behind[group] = map[broker.TopicPartition]int64{tp: ends[tp] - 1}
}

// sample is what somebody sees who begins to look now.
func (s *stage) sample() pulse.Sample {
	s.T.Helper()
	p := pulse.New(s.cfg)
	defer s.Run(p.Run)()
	for {
		if got, _ := p.Look(s.T.Context()); !got.At.IsZero() || s.T.Context().Err() != nil {
			return got
		}
	}
}

func (s *stage) verdict(name string) pulse.Verdict {
	s.T.Helper()
	all := s.sample().Invariants
	i := slices.IndexFunc(all, func(v pulse.Verdict) bool { return v.Name == name })
	if i < 0 {
		s.T.Fatalf("no verdict %s in %+v", name, all)
	}
	return all[i]
}

func (s *stage) want(name string, state pulse.State, text string, orders ...string) {
	s.T.Helper()
	v := s.verdict(name)
	if v.State != state || !strings.Contains(v.Text, text) || !slices.Equal(v.Orders, orders) {
		s.T.Errorf("%s is %s (%q, orders %q), want %s (%q, orders %q)", name, v.State, v.Text, v.Orders, state, text, orders)
	}
}

func TestNothingIsLost(t *testing.T) {
	s := open(t)
	s.want("accounted", pulse.Holds, "0 acknowledged = 0 settled + 0 in flight + 0 parked")
	s.Put(s.Confirmed(viewtest.ID("a"), "c-1")...)
	s.Put(s.Declined(viewtest.ID("b"), "c-1")...)
	s.Put(s.Refunded(viewtest.ID("c"), "c-1")...)
	s.want("accounted", pulse.Holds, "3 acknowledged = 3 settled + 0 in flight + 0 parked")

	id := viewtest.ID("d")
	placed := s.Placed(id, "c-1")
	s.Put(placed)
	s.hold("payment", placed)
	s.want("accounted", pulse.Holds, "4 acknowledged = 3 settled + 1 in flight + 0 parked")
	delete(s.behind, "payment") // it has committed the order, and nothing of it is in the log
	s.want("accounted", pulse.Broken, "1 that nobody works on", id)
	if got := s.sample(); got.InFlight != 1 || got.Orders != 4 {
		t.Errorf("%d in flight of %d", got.InFlight, got.Orders)
	}

	letters := s.Park("payment", "permanent", "no such card", placed)
	s.want("accounted", pulse.Holds, "4 acknowledged = 3 settled + 0 in flight + 1 parked")
	if got := s.sample(); got.InFlight != 0 || got.Parked != 1 {
		t.Errorf("%d in flight, %d parked", got.InFlight, got.Parked)
	}
	s.tell(deadletter.Redriven, id, letters[0])
	s.want("accounted", pulse.Broken, "1 that nobody works on", id)
	s.tell(deadletter.Discarded, id, letters[0])
	s.want("accounted", pulse.Holds, "+ 0 parked + 1 given up")
	s.Park("payment", "permanent", "no such card", placed) // a late copy of the letter
	s.want("accounted", pulse.Holds, "+ 0 parked + 1 given up")
}

// tell says what became of a letter that payment parked.
func (s *stage) tell(kind deadletter.Kind, order, letter string) {
	r := deadletter.Tell(deadletter.Record{Kind: kind, ID: letter, Order: order, Group: "payment"}, broker.Partition([]byte(order), viewtest.Partitions), time.Now())
	s.Put(r)
}

// An order waits for whoever must answer its newest fact.
func TestEveryStepHasItsAnswerer(t *testing.T) {
	for _, tt := range []struct {
		name   string
		events int // of a refunded order, without its mails
		group  string
	}{{"charge", 1, "payment"}, {"confirm", 2, "order"}, {"refund", 6, "payment"}} {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t)
			id := viewtest.ID("a")
			all := s.Refunded(id, "c-1")[:tt.events]
			s.Put(all...)
			s.hold(tt.group, all[tt.events-1])
			s.want("accounted", pulse.Holds, "1 in flight")
			delete(s.behind, tt.group)
			s.want("accounted", pulse.Broken, "nobody works on", id)
		})
	}
}

func TestCopiesAndVoidsChangeNothing(t *testing.T) {
	s := open(t)
	id := viewtest.ID("a")
	story := s.Confirmed(id, "c-1")
	s.Put(story...)
	s.Put(story...)
	void := s.Fact("order", id, &orderv1.OrderCancelled{}, broker.Record{})
	void.Headers = brokertest.SetHeader(void.Headers, "ce_previousid", []byte(event.MakeID("another")))
	s.Put(void)
	ancient := s.Placed(viewtest.ID("b"), "c-1") // it says so; there is no record so old
	ancient.Headers = brokertest.SetHeader(ancient.Headers, "ce_time", []byte("0001-01-01T00:00:01Z"))
	s.Put(ancient)
	got := s.sample()
	if got.Duplicates != 5 || got.Orders != 2 || !strings.Contains(got.Invariants[0].Text, " 1 settled") {
		t.Errorf("%d copies, %d orders, %s", got.Duplicates, got.Orders, got.Invariants[0].Text)
	}
	if got.Settle == nil || *got.Settle != (pulse.Settle{P50: 2, P95: 2}) {
		t.Errorf("settled in %+v; the writer takes a millisecond for each event", got.Settle)
	}
}

// Whose log is read last did not settle last.
func TestSettleIsOfThoseThatSettledLast(t *testing.T) {
	s := open(t)
	order := func(placed time.Time, settles time.Duration, partition int) {
		id := viewtest.ID(fmt.Sprint(placed, partition))
		s.Clock = placed
		story := []broker.Record{s.Placed(id, "c-1")}
		s.Clock = placed.Add(settles)
		story = append(story, s.Fact("order", id, &orderv1.OrderConfirmed{}, story[0]))
		for _, r := range story {
			r.Partition = partition
			s.Put(r)
		}
	}
	now := s.Clock
	for range 4 { // more than is read at once
		s.Log.Append(broker.TopicPartition{Topic: "order.events.v1", Partition: 1}, broker.Record{Key: []byte("k"), Value: make([]byte, 300<<10)})
	}
	for i := range time.Duration(100) {
		order(now.Add(i*time.Second), time.Second, 0)
		order(now.Add(i*time.Second-time.Hour), time.Minute, 1)
	}
	if got := s.sample().Settle; got == nil || *got != (pulse.Settle{P50: 1000, P95: 1000}) {
		t.Errorf("settled in %+v", got)
	}
}

func TestLagIsTheAgeOfWhatIsNotCommitted(t *testing.T) {
	s := open(t)
	placed := s.Placed(viewtest.ID("a"), "c-1")
	placed.Time = time.Now().Add(-7 * time.Second)
	s.Put(placed)
	s.hold("payment", placed)
	s.alone["notification"] = true
	got := s.sample()
	if r := got.Groups["payment"]; r.LagRecords != 1 || r.LagMS < 7_000 || r.LagMS > 60_000 || r.Stopped != "" {
		t.Errorf("payment: %+v", r)
	}
	if r := got.Groups["order"]; *r != (pulse.Group{}) {
		t.Errorf("order: %+v", r)
	}
	if r := got.Groups["notification"]; r.Stopped != "nobody consumes" {
		t.Errorf("notification: %+v", r)
	}
	control := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"processes":[{"service":"payment","state":"paused"},{"service":"order","state":"paused"},{"service":"order","state":"running"}]}`)
	}))
	t.Cleanup(control.Close)
	s.cfg.Playground.Control = control.URL
	got = s.sample()
	if r := got.Groups["order"]; r.Stopped != "" {
		t.Errorf("one runs: %+v", r)
	}
	if r := got.Groups["payment"]; r.Stopped != "paused" || r.LagRecords != 1 {
		t.Errorf("paused: %+v", r)
	}
}

func TestRatesAndCounts(t *testing.T) {
	s := open(t)
	p := pulse.New(s.cfg)
	s.Run(p.Run)
	late := time.After(20 * time.Second)
	got, fresh := p.Look(t.Context())
	for ; got.At.IsZero(); got, fresh = p.Look(t.Context()) { // what was there before is not counted
		<-fresh
	}
	s.Clock = time.Now().Add(time.Minute) // recent, however long the sample takes
	s.Put(s.Confirmed(viewtest.ID("a"), "c-1")...)
	for got.Topics["order.events.v1"] == 0 {
		select {
		case <-fresh:
		case <-late:
			t.Fatalf("no rate came: %+v", got)
		}
		got, fresh = p.Look(t.Context())
	}
	if got.OrdersPerSecond != .2 {
		t.Errorf("%v orders a second; one came in the last five", got.OrdersPerSecond)
	}
	if counts := p.Counts(); counts["troupe.order.v1.OrderPlaced"] != 1 || counts["troupe.notification.v1.NotificationSent"] != 1 {
		t.Errorf("counts %v", counts)
	}
}

// What lies before the window is not judged: nobody knows what became of it.
func TestOnlyTheEndOfALongLogIsJudged(t *testing.T) {
	s := open(t)
	id := viewtest.ID("a")
	s.Put(s.Placed(id, "c-1"))
	s.want("accounted", pulse.Broken, "1 that nobody works on", id)
	request := s.Request("order", id, &orderv1.OrderCancellationRequested{}, broker.Record{})
	for range 5000 {
		s.Put(request)
	}
	s.want("accounted", pulse.Holds, "0 acknowledged")
}

// Nor is what has a part of its story before the window of another log.
func TestWhatLiesBeforeAWindowIsNotHeldAgainstAnOrder(t *testing.T) {
	s := open(t)
	s.Clock = s.Clock.Add(-time.Hour)
	id := viewtest.ID("a")
	s.Put(s.Declined(id, "c-1")...)
	s.want("accounted", pulse.Holds, "1 acknowledged = 1 settled")
	tp := broker.TopicPartition{Topic: "payment.events.v1", Partition: broker.Partition([]byte(id), viewtest.Partitions)}
	for range 5000 {
		s.Log.Append(tp, broker.Record{Key: []byte("k")})
	}
	s.want("accounted", pulse.Holds, "0 acknowledged")
}

func TestWithoutKafkaNothingIsSaid(t *testing.T) {
	s := open(t)
	s.down = errors.New("no coordinator")
	got := s.sample()
	if got.Error == "" || len(got.Groups) != 0 {
		t.Errorf("%+v", got)
	}
	s.want("accounted", pulse.Unchecked, "Kafka does not answer")
	s.want("charges", pulse.Unchecked, "Kafka does not answer")
}
