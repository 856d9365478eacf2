package check

import (
	"strconv"
	"strings"
)

// dead checks the dead letters of an order: that what is parked is poison, or deferred, or waits behind either; that
// nobody answered what lies behind one; and that every request about them was closed, once, and no letter came back
// twice. That a deferred one comes back by itself is seen by its order, which is not told of its end otherwise.
func (o *Order) dead(r *Report, parked bool) {
	deferred := map[string]bool{} // by topic
	for _, l := range o.letters {
		if !l.waits() {
			continue
		}
		r.DeadLetters++
		deferred[l.topic] = deferred[l.topic] || l.headers["__dlq.retry.at"] != ""
		// A letter by reference need not hold the header of its poison.
		if l.headers[PoisonHeader] != "" || o.k.poison[l.of()] != "" || parked || deferred[l.topic] {
			r.ExplainedLetters++
			continue
		}
		r.add(unexplained.violation(o.ID, "%s was parked in %s: %s: %s", l.of(), l.topic, l.headers["__dlq.errors.class"],
			l.headers["__dlq.errors.message"]))
	}
	o.behind(r)
	o.closed(r)
}

// swallowed checks that poison is parked by all who must read it.
func (k *Checker) swallowed(r *Report) {
	in := map[string]bool{} // origin and dead-letter topic
	for _, o := range k.orders {
		for _, l := range o.letters {
			in[l.of()+l.topic] = in[l.of()+l.topic] || l.waits()
		}
	}
	for place, listeners := range k.poison {
		for by := range strings.SplitSeq(listeners, ",") {
			if topic := LettersTopic(strings.TrimSpace(by)); by != nobody && !in[place+topic] {
				r.add(swallowed.violation("", "the poison at %s is not in %s", place, topic))
			}
		}
	}
}

// behind checks that nobody answered what lies behind one of its dead letters: the order waits, in order. Where an
// operator has brought letters back, what they say is answered later than it lies, so there it says nothing.
func (o *Order) behind(r *Report) {
	type waiting struct{ who, topic string }
	from := map[waiting]int64{}  // offset of the first letter
	acted := map[string]bool{}   // by participant
	causes := map[string]event{} // by id
	for _, l := range o.letters {
		if !l.waits() {
			acted[l.participant()] = true
			continue
		}
		w := waiting{l.participant(), l.headers["__dlq.errors.topic"]}
		at, err := strconv.ParseInt(l.headers["__dlq.errors.offset"], 10, 64)
		if before, ok := from[w]; err == nil && (!ok || at < before) {
			from[w] = at
		}
	}
	if len(from) == 0 || o.ID == "" {
		return
	}
	for _, e := range o.events {
		if _, ok := causes[e.ID]; !ok {
			causes[e.ID] = e
		}
	}
	for _, e := range o.know().accepted {
		cause, ok := causes[e.CausationID]
		if !ok || acted[e.Source] {
			continue
		}
		if before, ok := from[waiting{e.Source, cause.Topic}]; ok && cause.Offset > before {
			r.add(overtaken.violation(o.ID, "%s answers %s, which lies behind the dead letter at %s@%d",
				e.Type, cause.place(), cause.Topic, before))
		}
	}
}

// closed checks what became of requests about dead letters.
func (o *Order) closed(r *Report) {
	type ids map[string]bool                              // of records
	closed, back := map[string]ids{}, map[[2]string]ids{} // by request; by topic and letter
	for _, l := range o.letters {
		id, request := l.headers["ce_id"], l.headers["ce_causationid"]
		letter := [2]string{l.topic, l.headers["__dlq.id"]}
		switch l.kind() {
		case "closed":
			if closed[request] == nil {
				closed[request] = ids{}
			}
			closed[request][id] = true
		case "redriven", "edited", "discarded":
			if back[letter] == nil {
				back[letter] = ids{}
			}
			back[letter][id] = true
		}
	}
	asked := ids{}
	for _, request := range o.requests {
		id := request.headers["ce_id"]
		if id == "" || asked[id] {
			continue
		}
		asked[id] = true
		r.Requests++
		if n := len(closed[id]); n == 0 {
			r.add(neverClosed.violation(o.ID, "request %s at %s was never closed", id, request.place))
		} else if n > 1 {
			r.add(closedTwice.violation(o.ID, "request %s at %s was closed %d times", id, request.place, n))
		}
	}
	for letter, ends := range back {
		if r.LettersBack++; len(ends) > 1 {
			r.add(backTwice.violation(o.ID, "letter %s of %s came back %d times", letter[1], letter[0], len(ends)))
		}
	}
}
