package projection

import (
	"fmt"
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// Topics are deleted and created anew while Redis is kept. The read model shows what the logs hold now, and nothing of
// those that are gone; also when only one of them is another one.
func TestTopicsAreMadeAnew(t *testing.T) {
	for what, topics := range map[string][]string{"all": {talk, song}, "one": {song}} {
		for _, running := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/running=%v", what, running), func(t *testing.T) {
				s, b := newStage(t), chronicle()
				_, stop := s.play(b)
				s.say(talk, "o1", "one")
				s.say(song, "o1", "la", "li", "lo")
				s.shows(b, "o1")
				if !running {
					stop()
				}
				s.log.Recreate(topics...)
				for _, topic := range topics {
					delete(s.heads, topic+"o1")
				}
				s.say(song, "o1", "do", "re", "mi", "fa", "so") // more than the old log held
				if !running {
					_, stop = s.play(b)
				}
				defer stop()
				s.shows(b, "o1")
				r := NewReader(b, s.redis)
				eventually(t, func() string {
					found, state, err := r.Get(t.Context(), logOf(song, "o1").Partition, "o1")
					if err != nil || state.Incomplete || strings.Join(found.Doc.Song, " ") != "do re mi fa so" || len(found.Doc.Talk) != 2-len(topics) {
						return fmt.Sprint("it shows ", found.Doc, state, err)
					}
					return ""
				})
			})
		}
	}
}

// Topics that were grown, and PARTITIONS with them: the facts are not where their orders are looked for now. It does
// not start.
func TestPartitionsAreRaised(t *testing.T) {
	s, b := newStage(t), chronicle()
	_, stop := s.play(b)
	for n := range 10 {
		s.say(talk, fmt.Sprint("o", n), "one")
	}
	s.shows(b, "o1")
	stop()
	s.log.Grow(talk, 2*partitions)
	s.log.Grow(song, 2*partitions)
	err := New(b, Config{Log: s.log, Redis: s.redis, Partitions: 2 * partitions}).Run(t.Context())
	if fault.ClassOf(err) != fault.Permanent || !strings.Contains(err.Error(), talk+"/") || !strings.Contains(err.Error(), "PARTITIONS") {
		t.Errorf("Run: %v, want what is misplaced", err)
	}
	_, stop = s.play(b)
	defer stop()
	s.say(talk, "o1", "two")
	s.shows(b, "o1")
}

// A fact in another partition than its key belongs into is counted, and kept by its place.
func TestMisplacedFactIsPassed(t *testing.T) {
	s, b := newStage(t), chronicle()
	_, stop := s.play(b)
	defer stop()
	s.say(talk, "o2", "one")
	s.shows(b, "o2") // it has started
	r := s.fact(talk, "o1", "one")
	other := broker.TopicPartition{Topic: talk, Partition: (logOf(talk, "o1").Partition + 1) % partitions}
	s.log.Append(other, r)
	eventually(t, func() string {
		bad := s.redis.LRange(t.Context(), fmt.Sprintf("{chronicle:%d}:undecodable", other.Partition), 0, -1).Val()
		if len(bad) != 1 || !strings.Contains(bad[0], "PARTITIONS") {
			return fmt.Sprint("remembered: ", bad)
		}
		return ""
	})
}
