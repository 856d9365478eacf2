package brokertest_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/pkg/fault"
)

var logA0 = broker.TopicPartition{Topic: "a", Partition: 0}

func record(key string) broker.Record { return broker.Record{Key: []byte(key), Value: []byte("v")} }

func memory(t *testing.T) *brokertest.Memory {
	m := brokertest.New()
	if err := m.Provision(t.Context(), []broker.Topic{{Name: "a", Partitions: 4}}); err != nil {
		t.Fatal(err)
	}
	return m
}

func produce(ctx context.Context, m broker.Log, b broker.Batch) (got broker.Produced) {
	m.Produce(ctx, []broker.Batch{b}, func(p broker.Produced) { got = p })
	return got
}

func TestMemoryFates(t *testing.T) {
	batch := broker.Batch{TopicPartition: logA0, Records: []broker.Record{record("k")}}
	for name, c := range map[string]struct {
		fate            brokertest.Fate
		acknowledged    bool
		now, afterwards int
	}{
		"acknowledged": {brokertest.Fate{}, true, 1, 1},
		"answer lost":  {brokertest.Fate{Answer: brokertest.ErrLost}, false, 1, 1},
		"dropped":      {brokertest.Fate{Answer: brokertest.ErrLost, Drop: true}, false, 0, 0},
		"late":         {brokertest.Fate{Answer: brokertest.ErrLost, Late: true}, false, 0, 1},
		"duplicated":   {brokertest.Fate{Copies: 1}, true, 2, 2},
	} {
		t.Run(name, func(t *testing.T) {
			m := memory(t)
			m.OnProduce(func(broker.Batch) brokertest.Fate { return c.fate })
			if got := produce(t.Context(), m, batch); (got.Err == nil) != c.acknowledged {
				t.Errorf("produce: %v", got.Err)
			}
			if n := len(m.Read(logA0)); n != c.now {
				t.Errorf("%d records at first, want %d", n, c.now)
			}
			m.AppendLate()
			if n := len(m.Read(logA0)); n != c.afterwards {
				t.Errorf("%d records afterwards, want %d", n, c.afterwards)
			}
		})
	}
}

func TestMemoryHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, release := memory(t), make(chan struct{})
		m.OnProduce(func(broker.Batch) brokertest.Fate { return brokertest.Fate{Hold: release} })
		batch := broker.Batch{TopicPartition: logA0, Records: []broker.Record{record("k")}}

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if got := produce(ctx, m, batch); fault.ClassOf(got.Err) != fault.Unavailable || len(m.Read(logA0)) != 0 {
			t.Fatalf("a produce that is held past its time: %v, %d records", got.Err, len(m.Read(logA0)))
		}
		m.AppendLate()
		if n := len(m.Read(logA0)); n != 1 {
			t.Fatalf("%d records after the late append, want 1", n)
		}
		done := make(chan broker.Produced, 1)
		go func() { done <- produce(t.Context(), m, batch) }()
		synctest.Wait()
		if len(done) != 0 {
			t.Fatal("answered while held")
		}
		close(release)
		if got := <-done; got.Err != nil || got.Base != 1 {
			t.Fatalf("released: %+v", got)
		}
	})
}

func TestMemoryExpireFencesTheZombie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := memory(t)
		ctx, cancel := context.WithCancel(t.Context())
		generations := make(chan broker.Generation, 8)
		zombies := make(chan error, 1)
		var members sync.WaitGroup
		members.Go(func() {
			first := true
			_ = m.Join(ctx, "g", []string{"a"}, 4, func(serving context.Context, g broker.Generation) error {
				generations <- g
				if first { // it is paused and does not notice
					first = false
					time.Sleep(time.Minute) //nolint:forbidigo // the bubble's clock
					zombies <- errors.Join(g.Holds(ctx), g.Commit(ctx, map[broker.TopicPartition]int64{logA0: 9}))
					return nil
				}
				<-serving.Done()
				return nil
			})
		})
		<-generations
		m.Expire("g", "member-1")
		members.Go(func() {
			_ = m.Join(ctx, "g", []string{"a"}, 4, func(serving context.Context, g broker.Generation) error {
				generations <- g
				<-serving.Done()
				return g.Commit(ctx, map[broker.TopicPartition]int64{logA0: 1})
			})
		})
		if g := <-generations; len(g.Assigned()) != 4 {
			t.Errorf("the other member took over %v", g.Assigned())
		}
		if err := <-zombies; fault.ClassOf(err) != fault.Conflict || m.Committed("g")[logA0] == 9 {
			t.Errorf("the zombie was not fenced: %v", err)
		}
		if a, b := <-generations, <-generations; len(a.Assigned())+len(b.Assigned()) != 4 {
			t.Errorf("after its return: %v and %v", a.Assigned(), b.Assigned())
		}
		cancel()
		members.Wait()
	})
}

func TestMemoryRebalanceWaitsOnlySoLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := memory(t)
		m.RebalanceTimeout = 5 * time.Second
		ctx, cancel := context.WithCancel(t.Context())
		stuck, began := make(chan struct{}), make(chan broker.Generation)
		var members sync.WaitGroup
		members.Go(func() {
			_ = m.Join(ctx, "g", []string{"a"}, 4, func(_ context.Context, g broker.Generation) error {
				began <- g
				<-stuck
				return nil
			})
		})
		old := <-began
		start := time.Now()
		members.Go(func() {
			_ = m.Join(ctx, "g", []string{"a"}, 4, func(serving context.Context, g broker.Generation) error {
				began <- g
				<-serving.Done()
				return nil
			})
		})
		if g := <-began; len(g.Assigned()) != 4 || time.Since(start) != 5*time.Second {
			t.Errorf("took over %v after %v", g.Assigned(), time.Since(start))
		}
		if err := old.Holds(ctx); fault.ClassOf(err) != fault.Conflict {
			t.Errorf("the old generation: %v", err)
		}
		cancel()
		close(stuck)
		members.Wait()
	})
}

func TestMemoryDownAndTrim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := memory(t)
		m.Append(logA0, record("1"), record("2"), record("3"))
		m.Trim(logA0, 2)
		got, err := m.Fetch(t.Context(), []broker.Position{{TopicPartition: logA0, Offset: 1}})
		if err != nil || !errors.Is(got[0].Err, broker.ErrOutOfRange) || got[0].Start != 2 || got[0].End != 3 {
			t.Fatalf("trimmed: %+v, %v", got, err)
		}
		m.Down(errors.New("gone"))
		if _, err := m.Fetch(t.Context(), nil); fault.ClassOf(err) != fault.Unavailable {
			t.Errorf("down: %v", err)
		}
		if _, err := m.Ends(t.Context(), []broker.TopicPartition{logA0}); fault.ClassOf(err) != fault.Unavailable {
			t.Errorf("down: %v", err)
		}
		m.Down(nil)
		if ends, err := m.Ends(t.Context(), []broker.TopicPartition{logA0}); err != nil || ends[logA0] != 3 {
			t.Errorf("back: %v, %v", ends, err)
		}
	})
}

func TestMemoryKeepsTheContract(t *testing.T) {
	brokertest.Suite(t, func(t *testing.T) brokertest.Subject {
		m := brokertest.New()
		m.RebalanceTimeout = 5 * time.Second
		return brokertest.Subject{Log: m, Trim: m.Trim, Delete: m.Delete}
	})
}
