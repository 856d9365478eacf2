package check

import (
	"strconv"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/participant"
)

// letters checks that what is parked is poison, or waits behind it; and that poison is parked by all who must read it.
func (s System) letters(r *Report, l *log) {
	parked := map[Place]map[string]bool{} // the dead-letter topics that have it
	for _, letter := range l.letters {
		h := map[string]string{}
		for _, header := range letter.Headers {
			h[header.Key] = string(header.Value)
		}
		if h["__dlq.record"] != "letter" {
			continue // what became of one
		}
		r.DeadLetters++
		from := origin(h)
		if parked[from] == nil {
			parked[from] = map[string]bool{}
		}
		parked[from][letter.Topic] = true
		if _, is := s.Poison[from]; is || s.Parked[string(letter.Key)] {
			r.ExplainedLetters++
			continue
		}
		r.Violation(UnexplainedLetter, string(letter.Key), "%s/%d@%d was parked in %s: %s: %s", from.Topic, from.Partition, from.Offset,
			letter.Topic, h["__dlq.errors.class"], h["__dlq.errors.message"])
	}
	for p, listeners := range s.Poison {
		for _, by := range listeners {
			if topic := participant.DeadLettersTopic(by); !parked[p][topic] {
				r.Violation(Lost, "", "the poison at %s/%d@%d is not in %s", p.Topic, p.Partition, p.Offset, topic)
			}
		}
	}
}

func origin(h map[string]string) Place {
	partition, _ := strconv.Atoi(h["__dlq.errors.partition"])
	offset, err := strconv.ParseInt(h["__dlq.errors.offset"], 10, 64)
	if err != nil {
		offset = -1 // of no record: nothing explains it
	}
	return Place{broker.TopicPartition{Topic: h["__dlq.errors.topic"], Partition: partition}, offset}
}
