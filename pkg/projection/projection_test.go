package projection

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func TestProjectionShowsAFoldOfTheLog(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	var orders []string
	for i := range 50 {
		id := fmt.Sprint("order-", i)
		orders = append(orders, id)
		s.say(talk, id, "one", "two")
		s.say(song, id, "la")
	}
	p, stop := s.play(b)
	s.shows(b, orders...)
	for i, id := range orders {
		if i%2 == 0 {
			s.say(song, id, "li", "lu")
		}
	}
	s.shows(b, orders...)
	if n := s.words(); n != 50*3+25*2 {
		t.Errorf("%d words counted, not %d", n, 50*3+25*2)
	}
	if err := p.Ready(); err != nil {
		t.Error(err)
	}
	stop()
	committed := s.log.Committed(b.Name)
	for _, topic := range b.Topics {
		for n := range partitions {
			tp := broker.TopicPartition{Topic: topic, Partition: n}
			if want := int64(len(s.log.Read(tp))); committed[tp] != want {
				t.Errorf("%v: committed %d of %d on leaving", tp, committed[tp], want)
			}
		}
	}
}

func TestEveryRecordTwiceCountsOnce(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	for i := range 20 {
		id := fmt.Sprint("order-", i)
		one, two := s.fact(talk, id, "one"), s.fact(talk, id, "two")
		s.put(one, one, two, one, two)
	}
	_, _ = s.play(b)
	s.shows(b, "order-0", "order-7", "order-19")
	eventually(t, func() string {
		if n := s.words(); n != 40 {
			return fmt.Sprint(n, " words counted, not 40")
		}
		return ""
	})
}

func TestWipeIsNoticedAndFoldedAgain(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	var orders []string
	for i := range 30 {
		orders = append(orders, fmt.Sprint("order-", i))
		s.say(talk, orders[i], "one")
	}
	p, _ := s.play(b)
	s.shows(b, orders...)
	r := NewReader(b, s.redis)
	if err := s.redis.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	// Whatever the moment: an order that is not found is never said not to exist.
	eventually(t, func() string {
		missing := 0
		for _, id := range orders {
			f, state, err := r.Get(t.Context(), logOf(talk, id).Partition, id)
			if err != nil {
				t.Fatal(err)
			}
			if f.Version == 0 {
				missing++
				if !state.Rebuilding {
					t.Fatalf("order %s is not there, and the state says that this is all there is", id)
				}
			}
		}
		if missing > 0 {
			return fmt.Sprint(missing, " orders are missing")
		}
		return ""
	})
	s.shows(b, orders...)
	if n := s.words(); n != 30 {
		t.Errorf("%d words counted, not 30", n)
	}
	if err := p.Ready(); err != nil {
		t.Error(err)
	}
}

func TestOtherFoldVersionStartsOver(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	s.say(talk, "o", "one", "two")
	_, stop := s.play(b)
	s.shows(b, "o")
	stop()
	next := chronicle()
	next.FoldVersion = 2
	fold := next.Fold
	next.Fold = func(doc script, m event.Message, at At) script {
		doc = fold(doc, m, at)
		doc.Talk[len(doc.Talk)-1] += "!"
		return doc
	}
	_, state, err := NewReader(next, s.redis).Get(t.Context(), logOf(talk, "o").Partition, "o")
	if err != nil || !state.Rebuilding {
		t.Fatalf("what other code folded counts as whole: %v", err)
	}
	_, _ = s.play(next)
	s.shows(next, "o")
}

func TestUnreadableRecordsArePassedAndRemembered(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	s.say(talk, "o", "one")
	tp := logOf(talk, "o")
	body := s.fact(talk, "o", "two")
	body.Value = []byte{0xff}
	keyless := broker.Record{Topic: talk, Partition: tp.Partition, Value: []byte("hello")}
	alien := broker.Record{Topic: talk, Partition: tp.Partition, Key: []byte("o"), Value: []byte("hello")}
	s.put(body, keyless, alien)
	s.say(talk, "o", "panic", "three")
	_, _ = s.play(b)
	s.shows(b, "o")
	r := NewReader(b, s.redis)
	f, _, err := r.Get(t.Context(), tp.Partition, "o")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(f.Doc.Talk, " "); got != "one ? three" {
		t.Errorf("document: %s", got)
	}
	kept, err := s.redis.LRange(t.Context(), r.Key(tp.Partition, keyUndecodable), 0, -1).Result()
	if err != nil || len(kept) != 4 {
		t.Fatalf("kept %q, %v", kept, err)
	}
	for i, text := range kept {
		var u undecodable
		if err := json.Unmarshal([]byte(text), &u); err != nil || u.Topic != talk || u.Partition != tp.Partition ||
			u.Offset != int64(4-i) || u.Error == "" {
			t.Errorf("kept %s, %v", text, err)
		}
	}
	if n, err := s.redis.HGet(t.Context(), r.Key(tp.Partition, keyMeta), fieldUndecodable).Int(); err != nil || n != 4 {
		t.Errorf("counted %d, %v", n, err)
	}
}

// A document that was lost while its log lives on is adopted in the middle; the first contradiction sends the projection
// back to the start of the log.
func TestContradictedHeadIsReadFromTheStart(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	s.say(talk, "o", "one", "two")
	s.say(song, "o", "la")
	_, stop := s.play(b)
	s.shows(b, "o")
	stop()
	r := NewReader(b, s.redis)
	tp := logOf(talk, "o")
	if err := s.redis.Del(t.Context(), r.Key(tp.Partition, keyOrder+"o")).Err(); err != nil {
		t.Fatal(err)
	}
	s.say(talk, "o", "three")
	_, _ = s.play(b)
	eventually(t, func() string {
		f, _, err := r.Get(t.Context(), tp.Partition, "o")
		if err != nil || strings.Join(f.Doc.Talk, " ") != "three" {
			return fmt.Sprint("not adopted: ", f.Doc, err)
		}
		return ""
	})
	s.put(record2(t, event.Event{
		ID: "void", Sequence: 2, PreviousID: "nobody", Type: event.TypeOf(&wrapperspb.StringValue{}), Source: "zombie",
		Subject: "o", Time: time.Now(),
	}, talk, "never"))
	s.shows(b, "o")
}

func TestRetentionIsPassedOver(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	s.say(talk, "o", "one", "two", "three")
	tp := logOf(talk, "o")
	s.log.Trim(tp, 2)
	_, stop := s.play(b)
	s.shows(b, "o")
	stop()
	s.say(talk, "o", "four", "five", "six")
	s.log.Trim(tp, 6)
	_, _ = s.play(b)
	eventually(t, func() string {
		_, state, err := NewReader(b, s.redis).Get(t.Context(), tp.Partition, "o")
		if err != nil || state.Rebuilding || !state.Passed(talk, 5) || state.Passed(talk, 6) {
			return fmt.Sprint(state, err)
		}
		return ""
	})
}

func TestAnotherLogIsFoldedFromItsStart(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	s.say(talk, "o", "one", "two", "three")
	_, stop := s.play(b)
	s.shows(b, "o")
	stop()
	fresh := newStage(t)
	fresh.redis = s.redis
	fresh.say(talk, "o", "other")
	if err := s.redis.HSet(t.Context(), NewReader(b, s.redis).Key(logOf(talk, "o").Partition, keyMeta), fieldPosition+talk, 3).Err(); err != nil {
		t.Fatal(err)
	}
	_, _ = fresh.play(b)
	fresh.shows(b, "o")
}

func TestPartitionsMoveWithoutLossOrRepetition(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	var orders []string
	for i := range 12 {
		orders = append(orders, fmt.Sprint("order-", i))
	}
	_, stopFirst := s.play(b)
	for round := range 10 {
		for _, id := range orders {
			s.say(talk, id, fmt.Sprint("w", round))
			s.say(song, id, fmt.Sprint("s", round))
		}
		switch round {
		case 2:
			_, _ = s.play(b)
		case 4, 6, 7:
			s.log.Rebalance(b.Name)
		case 8:
			stopFirst()
		}
	}
	s.shows(b, orders...)
	if n := s.words(); n != 12*20 {
		t.Errorf("%d words counted, not %d", n, 12*20)
	}
}

// A paused owner that comes back finds that another one claimed its partition: nothing of it is written.
func TestFencedOwnerAsksItsGroup(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	s.say(talk, "o", "one")
	p, _ := s.play(b)
	s.shows(b, "o")
	tp := logOf(talk, "o")
	if _, err := p.store.Claim(t.Context(), tp.Partition, "somebody else"); err != nil {
		t.Fatal(err)
	}
	s.say(talk, "o", "two")
	s.shows(b, "o") // its generation still holds, so it claims again
	if n := s.words(); n != 2 {
		t.Errorf("%d words counted, not 2", n)
	}
}

// A zombie: its session timed out and nobody told it. It learns it when it is fenced, or commits, and joins again.
func TestExpiredOwnerLeavesItsGeneration(t *testing.T) {
	for how, every := range map[string]time.Duration{"fenced": time.Hour, "commits": time.Millisecond} {
		t.Run(how, func(t *testing.T) {
			s := newStage(t)
			b := chronicle()
			p := New(b, Config{Log: s.log, Redis: s.redis, Partitions: partitions, CommitEvery: every})
			s.run(p)
			s.say(talk, "o", "one")
			s.shows(b, "o")
			s.log.Expire(b.Name, "member-1")
			if how == "fenced" {
				if _, err := p.store.Claim(t.Context(), logOf(talk, "o").Partition, "somebody else"); err != nil {
					t.Fatal(err)
				}
			}
			s.say(talk, "o", "two")
			eventually(t, func() string {
				if len(s.log.Assignments(b.Name)["member-1"]) == 0 {
					return "it has not joined again"
				}
				return ""
			})
			s.shows(b, "o")
			if n := s.words(); n != 2 {
				t.Errorf("%d words counted, not 2", n)
			}
		})
	}
}

func TestOutagesAreWaitedOut(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	p, _ := s.play(b)
	s.say(talk, "o", "one")
	s.shows(b, "o")
	s.log.Down(fault.New(fault.Unavailable, "the broker is away"))
	eventually(t, func() string {
		if err := p.Ready(); err == nil || !strings.Contains(err.Error(), "the broker is away") {
			return fmt.Sprint("ready says ", err)
		}
		return ""
	})
	s.log.Down(nil)
	s.say(talk, "o", "two")
	s.shows(b, "o")
	eventually(t, func() string {
		if err := p.Ready(); err != nil {
			return err.Error()
		}
		return ""
	})
}

func TestRunWaitsForItsTopicsAndRefusesWrongOnes(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	b.Topics = append(b.Topics, "dance.events.v1")
	p, stop := s.play(b)
	eventually(t, func() string {
		if err := p.Ready(); err == nil || !strings.Contains(err.Error(), "dance.events.v1") {
			return fmt.Sprint("ready says ", err)
		}
		return ""
	})
	stop()
	if err := s.log.Provision(t.Context(), []broker.Topic{{Name: "dance.events.v1", Partitions: partitions + 1}}); err != nil {
		t.Fatal(err)
	}
	err := New(b, Config{Log: s.log, Redis: s.redis, Partitions: partitions}).Run(t.Context())
	if fault.ClassOf(err) != fault.Permanent || !strings.Contains(err.Error(), "dance.events.v1") {
		t.Errorf("wrong number of partitions: %v", err)
	}
}

func TestOldDocumentsAreForgotten(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	old := s.fact(talk, "old", "one")
	for i, h := range old.Headers {
		if h.Key == "ce_time" {
			old.Headers[i].Value = []byte(time.Now().Add(-32 * 24 * time.Hour).Format(time.RFC3339))
		}
	}
	_, stop := s.play(b)
	s.put(old)
	s.say(talk, "new", "one")
	s.shows(b, "old", "new")
	stop()
	_, _ = s.play(b)
	r := NewReader(b, s.redis)
	eventually(t, func() string {
		f, _, err := r.Get(t.Context(), logOf(talk, "old").Partition, "old")
		if err != nil || f.Version != 0 {
			return fmt.Sprint("it is still there: ", f, err)
		}
		return ""
	})
	s.shows(b, "new")
	if n := s.words(); n != 1 {
		t.Errorf("%d words counted, not 1", n)
	}
	if n := s.redis.ZCard(t.Context(), r.Key(logOf(talk, "old").Partition, "all")).Val(); n > 1 {
		t.Errorf("%d entries in the index", n)
	}
}

// Whoever looks at the group sees the lag: offsets are committed while it runs, too.
func TestOffsetsAreCommittedForTheEyes(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	p := New(b, Config{Log: s.log, Redis: s.redis, Partitions: partitions, CommitEvery: time.Millisecond})
	s.run(p)
	s.say(talk, "o", "one", "two")
	eventually(t, func() string {
		if n := s.log.Committed(b.Name)[logOf(talk, "o")]; n != 2 {
			return fmt.Sprint("committed ", n)
		}
		return ""
	})
}

// lostAnswers lets commands take effect and loses their answers, while on.
type lostAnswers struct{ on atomic.Bool }

func (l *lostAnswers) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (l *lostAnswers) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (l *lostAnswers) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		if l.on.Load() && cmds[0].Name() == "evalsha" {
			err = errors.New("connection reset by peer")
			for _, c := range cmds {
				c.SetErr(err)
			}
		}
		return err
	}
}

// A change whose answer is lost is sent again, and found done: the task need not start anew.
func TestLostAnswersOfTheStoreAreAskedForAgain(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	p, _ := s.play(b)
	s.say(talk, "o", "one")
	s.shows(b, "o")
	owner := func() string {
		return s.redis.HGet(t.Context(), NewReader(b, s.redis).Key(logOf(talk, "o").Partition, keyMeta), "owner").Val()
	}
	before := owner()
	lost := &lostAnswers{}
	s.redis.AddHook(lost)
	lost.on.Store(true)
	s.say(talk, "o", "two")
	s.shows(b, "o")
	eventually(t, func() string {
		if err := p.Ready(); err == nil || !strings.Contains(err.Error(), "connection reset") {
			return fmt.Sprint("ready says ", err)
		}
		return ""
	})
	lost.on.Store(false)
	s.say(talk, "o", "three")
	s.shows(b, "o")
	if after := owner(); after != before {
		t.Error("the task was taken over again")
	}
	if n := s.words(); n != 3 {
		t.Errorf("%d words counted, not 3", n)
	}
}

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
	feed.wake(Change{Partition: -1, Orders: map[string]uint64{"o": 1}})
	select {
	case <-mine.C:
	default:
		t.Error("the watch of an order was not woken")
	}
	feed.wake(Change{Partition: logOf(talk, "o").Partition})
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
	channel := NewReader(b, s.redis).Key(logOf(talk, "o").Partition, keyChanges)
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
