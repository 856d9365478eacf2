package check

import (
	"strings"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/participant"
)

// lettersExplained checks that what is parked is poison, or waits behind it; and that poison is parked by all who must read it.
func (l *log) lettersExplained(r *Report, parked map[string]bool) {
	in := map[string]bool{} // origin and dead-letter topic
	for _, letter := range l.letters {
		if header(letter, "__dlq.record") != "letter" {
			continue // what became of one
		}
		r.DeadLetters++
		from := header(letter, "__dlq.errors.topic") + "/" + header(letter, "__dlq.errors.partition") + "@" + header(letter, "__dlq.errors.offset")
		in[from+letter.Topic] = true
		if header(letter, PoisonHeader) != "" || parked[string(letter.Key)] {
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

// nobody must park what nobody listens to.
const nobody = "nobody"

// header returns the value of the first header of that name, or "".
func header(r broker.Record, name string) string {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}
