package projection

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"github.com/redis/go-redis/v9"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
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
	kept, err := s.redis.LRange(t.Context(), r.store.Key(tp.Partition, keyUndecodable), 0, -1).Result()
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
	if n, err := s.redis.HGet(t.Context(), r.store.Key(tp.Partition, keyMeta), fieldUndecodable).Int(); err != nil || n != 4 {
		t.Errorf("counted %d, %v", n, err)
	}
}

// A batch that cannot be read, and what has more of a key or of headers than an event may have, is passed as what
// cannot be decoded is.
func TestWhatIsTooLargeIsPassed(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	s.say(talk, "o", "one")
	tp := logOf(talk, "o")
	long, headed := s.fact(talk, strings.Repeat("k", event.MaxName+1), "two"), s.fact(talk, "other", "two")
	headed.Partition = tp.Partition
	long.Partition = tp.Partition
	headed.Headers = headed.Headers.Append("x", make([]byte, 64<<10))
	s.put(long, headed, broker.Record{Topic: talk, Partition: tp.Partition, Unreadable: errors.New("it takes more than 16 MiB")})
	s.say(talk, "o", "three")
	_, _ = s.play(b)
	r := NewReader(b, s.redis)
	key := r.store.Key(tp.Partition, keyUndecodable)
	s.shows(b, "o")
	if n := s.redis.LLen(t.Context(), key).Val(); n != 3 {
		t.Errorf("%d are kept", n)
	}
	var u undecodable
	if err := json.Unmarshal([]byte(s.redis.LIndex(t.Context(), key, 0).Val()), &u); err != nil || u.Offset != 3 || u.Error != "it takes more than 16 MiB" {
		t.Errorf("%+v, %v", u, err)
	}
	for _, k := range s.redis.Keys(t.Context(), "*").Val() {
		if len(k) > event.MaxName {
			t.Errorf("a key of redis has %d bytes", len(k))
		}
	}
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
	if err := s.log.Provision(t.Context(), []broker.Topic{{Name: "dance.events.v1", Partitions: partitions - 1}}); err != nil {
		t.Fatal(err)
	}
	err := New(b, Config{Log: s.log, Redis: s.redis, Partitions: partitions}).Run(t.Context())
	if fault.ClassOf(err) != fault.Permanent || !strings.Contains(err.Error(), "dance.events.v1") {
		t.Errorf("wrong number of partitions: %v", err)
	}
}

// age makes an event older.
func age(r *broker.Record, by time.Duration) {
	r.Headers = brokertest.SetHeader(r.Headers, "ce_time", time.Now().Add(-by).AppendFormat(nil, time.RFC3339))
}

func TestOldDocumentsAreForgotten(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	old := s.fact(talk, "old", "one")
	age(&old, 32*24*time.Hour)
	stop := s.run(New(b, Config{Log: s.log, Redis: s.redis, Partitions: partitions, Retention: 60 * 24 * time.Hour}))
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
	if n := s.redis.ZCard(t.Context(), r.store.Key(logOf(talk, "old").Partition, "all")).Val(); n > 1 {
		t.Errorf("%d entries in the index", n)
	}
}

// behind is a Redis whose clock is two months behind.
type behind struct{ asked chan struct{} }

func (behind) DialHook(next redis.DialHook) redis.DialHook { return next }

func (b behind) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if c, ok := cmd.(*redis.TimeCmd); ok && err == nil {
			c.SetVal(c.Val().Add(-60 * 24 * time.Hour))
			select {
			case b.asked <- struct{}{}:
			default:
			}
		}
		return err
	}
}

func (behind) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// A host whose clock is ahead takes nothing for old that is not by Redis' clock either.
func TestAClockThatIsAheadForgetsNothing(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	o := s.fact(talk, "o", "one")
	age(&o, 32*24*time.Hour)
	s.put(o)
	clock := behind{make(chan struct{}, 1)}
	s.redis.AddHook(clock)
	_, stop := s.play(b)
	s.shows(b, "o")
	select {
	case <-clock.asked:
	case <-time.After(30 * time.Second):
		t.Error("Redis' clock is not looked at")
	}
	stop()
	s.shows(b, "o")
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
