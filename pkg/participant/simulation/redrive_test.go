package simulation

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
)

// maxRounds is how often what waits is redriven at the end: what one participant says at last is what another waits
// for, and one round discards one copy of a record that nobody can read, of which a schedule makes up to eleven.
const maxRounds = 20

// fix mends what cannot be answered.
func (w *world) fix() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fixed = true
}

// redrive puts a request to every chain that waits, and says whether there is one. What nobody can ever read is
// discarded.
func (w *world) redrive() (asked bool) {
	for part, name := range names {
		for n := range w.schedule.Orders {
			id := orderID(n)
			waiting := w.waitingLetters(part, id)
			if len(waiting) == 0 {
				continue
			}
			w.mu.Lock()
			w.requests++
			tp := logOf(deadletter.RedriveTopic(name), id)
			q := deadletter.Request{
				ID: fmt.Sprintf("request-%d", w.requests), Action: deadletter.Redrive, Order: id, By: "ada", Partition: tp.Partition, At: time.Now(),
			}
			w.mu.Unlock()
			if letter := w.inTheWay(part, id, waiting); strings.Contains(letter, "@") {
				q.Action, q.Letter = deadletter.Discard, letter
			}
			w.log.Append(tp, q.Record(name))
			asked = true
		}
	}
	return asked
}

// inTheWay is the letter of a chain that an operator looks at: its head when nobody can ever read that, otherwise what
// the last redrive failed at, which need not be the head (that may wait for what comes behind).
func (w *world) inTheWay(part int, id string, waiting []letter) string {
	at := waiting[0].id
	if strings.Contains(at, "@") {
		return at
	}
	for _, n := range w.told(part, id) {
		if n.Kind == deadletter.Failed && slices.ContainsFunc(waiting, func(l letter) bool { return l.id == n.ID }) {
			at = n.ID
		}
	}
	return at
}

// redriveAll brings everything back that waits. After it, it is as if nothing had ever been parked.
func (w *world) redriveAll() bool {
	w.fix()
	for range maxRounds {
		if !w.redrive() {
			w.checkTold()
			return true
		}
		if !w.becomesQuiet() {
			return false
		}
	}
	w.wrong("letters wait after %d redrives", maxRounds)
	return false
}

// told are the records of the dead-letter topic about an order that are not letters.
func (w *world) told(part int, id string) (notes []deadletter.Record) {
	for _, r := range w.log.Read(logOf(deadletter.Topic(names[part]), id)) {
		n, err := deadletter.Parse(r)
		if err != nil {
			w.wrong("%s of %s: %v", names[part], id, err)
		}
		if n.Order == id && n.Kind != deadletter.Letter {
			notes = append(notes, n)
		}
	}
	return notes
}

// waitingLetters are those that nothing has redriven or discarded.
func (w *world) waitingLetters(part int, id string) []letter {
	notes := w.told(part, id)
	return slices.DeleteFunc(w.letters(part, id), func(l letter) bool {
		return slices.ContainsFunc(notes, func(n deadletter.Record) bool {
			return n.ID == l.id && n.Kind != deadletter.Failed && n.Kind != deadletter.Closed
		})
	})
}

// openRequest names a request that is not closed, or not committed.
func (w *world) openRequest() string {
	for part, name := range names {
		for p := range partitions {
			tp := broker.TopicPartition{Topic: deadletter.RedriveTopic(name), Partition: p}
			requests := w.log.Read(tp)
			for _, r := range requests {
				q, err := deadletter.ParseRequest(r)
				if err != nil {
					w.wrong("%v", err)
				}
				if !slices.ContainsFunc(w.told(part, q.Order), func(n deadletter.Record) bool {
					return n.Kind == deadletter.Closed && n.RequestID == q.ID
				}) {
					return fmt.Sprintf("%s to %s is not closed", q.ID, name)
				}
			}
			if end := int64(len(requests)); end > 0 && w.log.Committed(name)[tp] != end {
				return fmt.Sprintf("%s has not committed %s/%d", name, tp.Topic, p)
			}
		}
	}
	return ""
}

// checkTold: a letter has one outcome, said once unless a copy was said, and what was told of requests adds up.
func (w *world) checkTold() {
	for part, name := range names {
		for n := range w.schedule.Orders {
			id := orderID(n)
			by := map[string]string{}
			redriven := map[string]int{}
			told := w.told(part, id)
			for _, n := range told {
				switch n.Kind {
				case deadletter.Failed, deadletter.Closed:
				default:
					if request, ok := by[n.ID]; ok && request != n.RequestID && !w.twoDeciders() {
						w.wrong("%s of %s: %s came back by %q and by %q", name, id, n.ID, request, n.RequestID)
					} else if !ok && n.Kind != deadletter.Discarded {
						redriven[n.RequestID]++
					}
					by[n.ID] = n.RequestID
				}
			}
			for _, n := range told {
				if n.Kind == deadletter.Closed && n.Redriven != redriven[n.RequestID] && !w.twoDeciders() {
					w.wrong("%s of %s: %s brought %d back, and says %d", name, id, n.RequestID, redriven[n.RequestID], n.Redriven)
				}
			}
		}
	}
}
