package brokertest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// member is one member of a group whose generations the test steers.
type member struct {
	t       *testing.T
	name    string
	began   chan broker.Generation
	over    chan error // what Join returned
	leave   context.CancelFunc
	hold    chan struct{} // when not nil, serve returns only after it is closed, whatever its ctx says
	current broker.Generation
	cleanup sync.Once
}

// join starts a member that serves each generation until it ends; atEnd runs then.
func (s *suite) join(t *testing.T, name string, hold chan struct{}, topics []string,
	atEnd func(broker.Generation) error) *member {
	ctx, leave := context.WithCancel(s.ctx)
	m := &member{t: t, name: name, began: make(chan broker.Generation, 64), over: make(chan error, 1),
		leave: leave, hold: hold}
	go func() {
		m.over <- s.Join(ctx, "g", topics, s.partitions, func(serving context.Context, g broker.Generation) error {
			m.began <- g
			<-serving.Done()
			if m.hold != nil {
				<-m.hold
			}
			if atEnd == nil {
				return nil
			}
			return atEnd(g)
		})
	}()
	t.Cleanup(m.stop)
	return m
}

func (m *member) stop() {
	m.cleanup.Do(func() {
		m.leave()
		select {
		case err := <-m.over:
			if err != nil {
				m.t.Errorf("%s: join returned %v after it was told to leave", m.name, err)
			}
		case <-time.After(patience):
			m.t.Errorf("%s does not leave", m.name)
		}
	})
}

// await waits for a generation with n logs.
func (m *member) await(n int) broker.Generation {
	m.t.Helper()
	for {
		select {
		case g := <-m.began:
			if m.current = g; len(g.Assigned()) == n {
				return g
			}
		case err := <-m.over:
			m.t.Fatalf("%s: join returned %v", m.name, err)
		case <-time.After(patience):
			m.t.Fatalf("%s: no generation with %d logs", m.name, n)
		}
	}
}

func partitionsOf(t *testing.T, g broker.Generation, topics ...string) []int {
	t.Helper()
	byTopic := map[string][]int{}
	for _, tp := range g.Assigned() {
		byTopic[tp.Topic] = append(byTopic[tp.Topic], tp.Partition)
	}
	for _, topic := range topics {
		slices.Sort(byTopic[topic])
		if !slices.Equal(byTopic[topic], byTopic[topics[0]]) {
			t.Errorf("%s has %v: not the same partitions of every topic", g.ID(), byTopic)
		}
	}
	return byTopic[topics[0]]
}

func (s *suite) groupRebalances(t *testing.T) {
	topics := []string{"a", "b"}
	s.topics(t, 5, topics...)
	tp := s.log("a", 4)
	commit := func(g broker.Generation) error { // when leaving a generation, in the time that a rebalance gives
		if g.Committed(tp) < 0 && slices.Contains(g.Assigned(), tp) {
			return g.Commit(s.ctx, map[broker.TopicPartition]int64{tp: 7})
		}
		return nil
	}
	first := s.join(t, "first", nil, topics, commit)
	g := first.await(10)
	if got := g.Committed(tp); got != -1 {
		t.Errorf("committed %d before any commit, want -1", got)
	}
	if err := g.Holds(s.ctx); err != nil {
		t.Errorf("a generation under way: %v", err)
	}
	second := s.join(t, "second", nil, topics, nil)
	var mine, theirs broker.Generation
	for mine == nil || theirs == nil || len(mine.Assigned())+len(theirs.Assigned()) != 10 {
		select {
		case theirs = <-second.began:
		case mine = <-first.began:
		case <-time.After(patience):
			t.Fatal("the members do not share the logs")
		}
	}
	all := append(partitionsOf(t, mine, topics...), partitionsOf(t, theirs, topics...)...)
	slices.Sort(all)
	if !slices.Equal(all, []int{0, 1, 2, 3, 4}) || len(mine.Assigned()) == 0 || len(theirs.Assigned()) == 0 {
		t.Errorf("assigned %v and %v", mine.Assigned(), theirs.Assigned())
	}
	for _, g := range []broker.Generation{mine, theirs} {
		if slices.Contains(g.Assigned(), tp) && g.Committed(tp) != 7 {
			t.Errorf("committed %d, want the 7 of the generation before", g.Committed(tp))
		}
	}
	first.stop()
	if g := second.await(10); g.Committed(tp) != 7 {
		t.Errorf("committed %d after the other left, want 7", g.Committed(tp))
	}
}

// groupFencesCommits: an old generation can neither commit nor believe that it holds.
func (s *suite) groupFencesCommits(t *testing.T) {
	s.topics(t, 2, "a")
	m := s.join(t, "first", nil, []string{"a"}, nil)
	old := m.await(2)
	tp := s.log("a", 0)
	if err := old.Commit(s.ctx, map[broker.TopicPartition]int64{tp: 5}); err != nil {
		t.Fatalf("commit: %v", err)
	}
	if err := old.Commit(s.ctx, nil); err != nil {
		t.Errorf("commit of nothing: %v", err)
	}
	second := s.join(t, "second", nil, []string{"a"}, nil)
	m.await(1)
	second.await(1)
	wantClass(t, "commit of an old generation", old.Commit(s.ctx, map[broker.TopicPartition]int64{tp: 1}), fault.Conflict)
	wantClass(t, "an old generation", old.Holds(s.ctx), fault.Conflict)
	m.stop()
	if g := second.await(2); g.Committed(tp) != 5 {
		t.Errorf("committed %d, want 5", g.Committed(tp))
	}
}

// groupFencesTheSlow: who does not finish within the rebalance time-out loses its logs, and what it commits then is
// refused.
func (s *suite) groupFencesTheSlow(t *testing.T) {
	s.topics(t, 2, "a")
	hold := make(chan struct{})
	tp := s.log("a", 0)
	late := make(chan error, 1)
	var once sync.Once // what a later generation commits may be taken
	slow := s.join(t, "slow", hold, []string{"a"}, func(g broker.Generation) error {
		once.Do(func() { late <- g.Commit(s.ctx, map[broker.TopicPartition]int64{tp: 1}) })
		return nil
	})
	old := slow.await(2)
	quick := s.join(t, "quick", nil, []string{"a"}, nil)
	quick.await(2)
	wantClass(t, "the slow generation", old.Holds(s.ctx), fault.Conflict)
	close(hold)
	select {
	case err := <-late:
		wantClass(t, "a commit that comes too late", err, fault.Conflict)
	case <-time.After(patience):
		t.Fatal("the slow member does not end")
	}
	if g := slow.await(1); g.Committed(tp) == 1 {
		t.Error("the late commit was taken")
	}
	if g := quick.await(1); g.Committed(tp) == 1 {
		t.Error("the late commit was taken")
	}
}

func (s *suite) groupWaitsForTopics(t *testing.T) {
	s.topics(t, 2, "a")
	m := s.join(t, "first", nil, []string{"a", "b"}, nil)
	wantClass(t, "joining has created it", s.Check(s.ctx, []broker.Topic{{Name: "b", Partitions: 2}}), fault.Unavailable)
	if len(m.began) > 0 {
		t.Error("it serves without one of its topics")
	}
	s.topics(t, 2, "b")
	partitionsOf(t, m.await(4), "a", "b")
}

// groupIgnoresSurplus: a topic that was grown is shared out as it is configured, and so are the others.
func (s *suite) groupIgnoresSurplus(t *testing.T) {
	s.topics(t, 4, "a")
	s.topics(t, 2, "b")
	if err := s.Check(s.ctx, []broker.Topic{{Name: "a", Partitions: 2}, {Name: "b", Partitions: 2}}); err != nil {
		t.Errorf("check of a topic with surplus partitions: %v", err)
	}
	partitionsOf(t, s.join(t, "first", nil, []string{"a", "b"}, nil).await(4), "a", "b")
}

func (s *suite) groupRefusesFewer(t *testing.T) {
	s.topics(t, 3, "a")
	s.topics(t, 2, "b")
	err := s.Join(s.ctx, "g", []string{"a", "b"}, 3, func(context.Context, broker.Generation) error { return nil })
	wantClass(t, "a topic with fewer partitions", err, fault.Permanent, "b", "2", "3")
}

func (s *suite) groupEndsOnPermanent(t *testing.T) {
	s.topics(t, 1, "a")
	hopeless := fault.New(fault.Permanent, "no hope")
	err := s.Join(s.ctx, "g", []string{"a"}, 1, func(context.Context, broker.Generation) error { return hopeless })
	if !errors.Is(err, hopeless) {
		t.Errorf("join returned %v, want what serve returned", err)
	}
}

func (s *suite) groupComesBackAfterError(t *testing.T) {
	s.topics(t, 1, "a")
	ctx, leave := context.WithCancel(s.ctx)
	tries := 0
	err := s.Join(ctx, "g", []string{"a"}, 1, func(context.Context, broker.Generation) error {
		if tries++; tries == 3 {
			leave()
		}
		return fault.New(fault.Unavailable, "not now")
	})
	if err != nil || tries != 3 {
		t.Errorf("join returned %v after %d generations, want nil after 3", err, tries)
	}
}
