package check

import (
	"strings"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/participant"
)

// lettersExplained checks that what is parked is poison, or deferred, or waits behind either; and that poison is parked by all who must
// read it. That a deferred one comes back by itself is seen by its order, which is not told of its end otherwise.
func (l *log) lettersExplained(r *Report, parked map[string]bool) {
	in := map[string]bool{}     // origin and dead-letter topic
	poison := map[string]bool{} // by place: a letter by reference need not hold the header
	for _, p := range l.poison {
		poison[place(p)] = true
	}
	deferred := map[string]bool{} // by topic and key
	for _, letter := range l.letters {
		if header(letter, "__dlq.record") != "letter" {
			continue // what became of one
		}
		if header(letter, "__dlq.retry.at") != "" {
			deferred[letter.Topic+string(letter.Key)] = true
		}
		r.DeadLetters++
		from := header(letter, "__dlq.errors.topic") + "/" + header(letter, "__dlq.errors.partition") + "@" + header(letter, "__dlq.errors.offset")
		in[from+letter.Topic] = true
		if header(letter, PoisonHeader) != "" || poison[from] || parked[string(letter.Key)] || deferred[letter.Topic+string(letter.Key)] {
			r.ExplainedLetters++
			continue
		}
		r.Violation(UnexplainedLetter, string(letter.Key), "%s was parked in %s: %s: %s", from, letter.Topic,
			header(letter, "__dlq.errors.class"), header(letter, "__dlq.errors.message"))
	}
	for _, p := range l.poison {
		for by := range strings.SplitSeq(header(p, PoisonHeader), ",") {
			if topic := participant.DeadLettersTopic(strings.TrimSpace(by)); by != nobody && !in[place(p)+topic] {
				r.Violation(Lost, "", "the poison at %s is not in %s", place(p), topic)
			}
		}
	}
}

// requestsClosed checks that every request to bring letters back was closed, once, and that no letter came back twice.
func (l *log) requestsClosed(r *Report) {
	closed := map[string]map[string]bool{} // by request, the ids of the records that say so
	back := map[[3]string]map[string]bool{}
	note := func(record string, of map[string]bool) map[string]bool {
		if of == nil {
			of = map[string]bool{}
		}
		of[record] = true
		return of
	}
	for _, record := range l.letters {
		id, request := header(record, "ce_id"), header(record, "ce_causationid")
		switch header(record, "__dlq.record") {
		case "closed":
			closed[request] = note(id, closed[request])
		case "redriven", "edited", "discarded":
			letter := [3]string{record.Topic, string(record.Key), header(record, "__dlq.id")}
			back[letter] = note(id, back[letter])
		}
	}
	asked := map[string]bool{}
	for _, request := range l.requests {
		id := header(request, "ce_id")
		if id == "" || asked[id] {
			continue
		}
		asked[id] = true
		r.Requests++
		if n := len(closed[id]); n == 0 {
			r.Violation(Stuck, string(request.Key), "request %s at %s was never closed", id, place(request))
		} else if n > 1 {
			r.Violation(Choreography, string(request.Key), "request %s at %s was closed %d times", id, place(request), n)
		}
	}
	for letter, ends := range back {
		if r.LettersBack++; len(ends) > 1 {
			r.Violation(Choreography, letter[1], "letter %s of %s came back %d times", letter[2], letter[0], len(ends))
		}
	}
}

// nobody must park what nobody listens to.
const nobody = "nobody"

// header returns the value of the first header of that name, or "".
func header(r broker.Record, name string) string {
	for key, value := range r.Headers.All() {
		if key == name {
			return string(value)
		}
	}
	return ""
}
