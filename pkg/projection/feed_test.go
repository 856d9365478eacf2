package projection

import (
	"context"
	"fmt"
	"testing"
	"time"
)

func TestFeedWakesWhoWaits(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	_, _ = s.play(b)
	feed := NewFeed(s.redis, b.Name, partitions)
	feed.poll = time.Hour // messages alone
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- feed.Run(ctx) }()
	mine, other, part := feed.Order("o"), feed.Order("nobody"), feed.Partition(logOf(talk, "o").Partition)
	feed.wake(-1, []string{"o"})
	select {
	case <-mine.C:
	default:
		t.Error("the watch of an order was not woken")
	}
	feed.wake(logOf(talk, "o").Partition, nil)
	select {
	case <-part.C:
	default:
		t.Error("the watch of a partition was not woken")
	}
	select {
	case <-other.C:
		t.Error("a watch of another order was woken")
	default:
	}
	if p, orders := feed.change(feed.channels[1], `{"p":1,"o":{"o":7}}`); p != 1 || orders != nil {
		t.Errorf("a message of another release is read as %d, %v", p, orders)
	}
	channel := NewReader(b, s.redis).store.Key(logOf(talk, "o").Partition, keyChanges)
	eventually(t, func() string {
		if n := s.redis.PubSubNumSub(t.Context(), channel).Val()[channel]; n != 1 {
			return fmt.Sprint(n, " listen")
		}
		return ""
	})
	s.say(talk, "o", "one")
	<-mine.C
	<-part.C
	if f, _, err := NewReader(b, s.redis).Get(t.Context(), logOf(talk, "o").Partition, "o"); err != nil || f.Version != 1 {
		t.Errorf("woken at version %d, %v", f.Version, err)
	}
	mine.Stop()
	other.Stop()
	part.Stop()
	if len(feed.watches) != 0 {
		t.Errorf("watches are left: %v", feed.watches)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A message can get lost: whoever waits is woken now and then all the same.
func TestFeedWakesWithoutMessages(t *testing.T) {
	s := newStage(t)
	feed := NewFeed(s.redis, "nobody", partitions)
	feed.poll = time.Millisecond
	s.runPart(feed.Run)
	w := feed.Order("o")
	defer w.Stop()
	<-w.C
	<-w.C
}
