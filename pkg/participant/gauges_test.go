package participant_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/telemetry"
	"github.com/troupe-dev/troupe/pkg/telemetry/telemetrytest"
	"google.golang.org/protobuf/proto"
)

// gauge is a gauge's value for a topic, summed over partitions; -1 when nobody reports it.
func gauge(t *testing.T, m telemetry.Metric, topic string) float64 {
	t.Helper()
	if sum, ok := telemetrytest.Gauge(t, m, topic); ok {
		return sum
	}
	return -1
}

// blocked is a React that waits until open is closed.
func blocked(open chan struct{}) react {
	return func(ctx context.Context, s ledger, m event.Message) (proto.Message, error) {
		select {
		case <-open:
		case <-ctx.Done():
		}
		return stamp(ctx, s, m)
	}
}

func TestLagIsWhatIsNotApplied(t *testing.T) {
	telemetrytest.Record()
	onStage(t, func(t *testing.T, s *stage) {
		open := make(chan struct{})
		_, stop := s.play(clerk(blocked(open)))
		s.eventually("every partition is served", func() bool { return gauge(t, telemetry.TasksRunning, "") == partitions })
		want(t, "expected", gauge(t, telemetry.TasksExpected, ""), partitions)
		want(t, "lag of nothing", gauge(t, telemetry.LagTime, notes), 0)
		began := time.Now()
		s.hand(notes, "o1", "a")
		s.hand(notes, "o1", "b")
		s.eventually("lag in records", func() bool { return gauge(t, telemetry.LagRecords, notes) == 2 })
		s.eventually("lag in seconds grows", func() bool { return time.Since(began) > 20*time.Second })
		for _, m := range []telemetry.Metric{telemetry.LagTime, telemetry.WatermarkAge} {
			if age := gauge(t, m, notes); age < 20 || age > 22 {
				t.Errorf("%s is %v, want 20", m.Name, age)
			}
			want(t, m.Name+" of the other topic", gauge(t, m, mails), 0)
		}
		close(open)
		for _, m := range telemetry.LagMetrics {
			s.eventually(m.Name+" is 0 again", func() bool { return gauge(t, m, notes) == 0 })
		}
		stop()
		want(t, "lag of who has left", gauge(t, telemetry.LagRecords, notes), -1)
	})
}

// A source that is full is not fetched, so no fetch tells how long its log has become: it lags all the same.
func TestLagOfALogThatIsNotFetched(t *testing.T) {
	telemetrytest.Record()
	onStage(t, func(t *testing.T, s *stage) {
		open := make(chan struct{})
		_, stop := s.play(clerk(blocked(open)))
		defer stop()
		defer close(open)
		many := func(from, n int) {
			for i := range n {
				s.hand(notes, "o1", strconv.Itoa(from+i))
			}
		}
		many(0, 3000)
		s.eventually("the log is read as far as there is room", func() bool { return gauge(t, telemetry.LagRecords, notes) >= 3000 })
		began := time.Now()
		s.eventually("it is fetched no more", func() bool { return time.Since(began) > 3*time.Second })
		many(3000, 500)
		s.eventually("what is not fetched counts", func() bool { return gauge(t, telemetry.LagRecords, notes) == 3500 })
	})
}
