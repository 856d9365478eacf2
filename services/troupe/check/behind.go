package check

import (
	"strconv"
	"strings"
)

// behindLetters checks that nobody answered what lies behind one of its dead letters: the order waits, in order. Where an operator has
// brought letters back, what they say is answered later than it lies, so there it says nothing.
func (l *log) behindLetters(r *Report) {
	type waiting struct{ who, order, topic string }
	from := map[waiting]int64{} // offset of the first letter
	acted := map[waiting]bool{} // without a topic
	for _, letter := range l.letters {
		w := waiting{who: strings.TrimSuffix(letter.Topic, ".dead-letters.v1"), order: string(letter.Key)}
		if header(letter, "__dlq.record") != "letter" {
			acted[w] = true
			continue
		}
		w.topic = header(letter, "__dlq.errors.topic")
		at, err := strconv.ParseInt(header(letter, "__dlq.errors.offset"), 10, 64)
		if first, ok := from[w]; err == nil && w.order != "" && (!ok || at < first) {
			from[w] = at
		}
	}
	causes := map[string]recorded{}
	for _, e := range l.events {
		if _, ok := causes[e.ID]; !ok {
			causes[e.ID] = e
		}
	}
	for order, messages := range l.Accepted {
		for _, m := range messages {
			cause, ok := causes[m.CausationID]
			if !ok || acted[waiting{who: m.Source, order: order}] {
				continue
			}
			if first, ok := from[waiting{m.Source, order, cause.Topic}]; ok && cause.Offset > first {
				r.Violation(Misordered, order, "%s answers %s, which lies behind the dead letter at %s@%d", m.Type, place(cause.Record), cause.Topic, first)
			}
		}
	}
}
