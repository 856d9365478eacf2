package lifecycle

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// recorder notes the names of parts as they end.
type recorder struct{ events chan string }

func (r *recorder) part(name string, stopTakes time.Duration, err error) Part {
	return Part{Name: name, StopWithin: time.Second, Run: func(ctx context.Context) error {
		<-ctx.Done()
		<-time.After(stopTakes)
		r.events <- name
		return err
	}}
}

func (r *recorder) all() []string {
	synctest.Wait()
	var got []string
	for range len(r.events) {
		got = append(got, <-r.events)
	}
	return got
}

func TestPartsStopOneByOneInReverseOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := recorder{make(chan string, 8)}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			// If all were stopped at once, the quick ones would end first.
			ended <- Run(ctx, r.part("store", 0, nil), r.part("participant", 900*time.Millisecond, nil),
				r.part("http", 500*time.Millisecond, context.Canceled))
		}()
		synctest.Wait()
		if len(ended) > 0 {
			t.Fatal("ended before it was asked to")
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("error %v", err)
		}
		if got := r.all(); !slices.Equal(got, []string{"http", "participant", "store"}) {
			t.Errorf("stopped in order %v", got)
		}
	})
}

func TestTheFirstPartToReturnStopsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := recorder{make(chan string, 8)}
		broken := errors.New("topic has 3 partitions")
		err := Run(t.Context(), r.part("store", 0, nil),
			Part{Name: "participant", Run: func(context.Context) error { return broken }}, r.part("http", 0, nil))
		if !errors.Is(err, broken) || err.Error() != "participant: topic has 3 partitions" {
			t.Errorf("error %v", err)
		}
		if got := r.all(); !slices.Equal(got, []string{"http", "store"}) {
			t.Errorf("stopped in order %v", got)
		}
	})
}

func TestAPartThatHangsIsLeftBehindAtItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := recorder{make(chan string, 8)}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		began := time.Now()
		err := Run(ctx, r.part("store", 0, errors.New("flush failed")), r.part("hung", time.Minute, nil))
		if took := time.Since(began); took != time.Second {
			t.Errorf("took %s, want the deadline of 1s", took)
		}
		for _, want := range []string{"hung: did not stop within 1s", "store: flush failed"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v lacks %q", err, want)
			}
		}
		<-time.After(time.Hour) // lets the hung part end inside the bubble
		if got := r.all(); !slices.Equal(got, []string{"store", "hung"}) {
			t.Errorf("stopped in order %v", got)
		}
	})
}

func TestRunWithoutPartsReturns(t *testing.T) {
	if err := Run(t.Context()); err != nil {
		t.Error(err)
	}
}
