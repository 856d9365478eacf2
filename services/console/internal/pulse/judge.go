package pulse

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
)

// State of a Verdict.
type State string

// The states of a verdict.
const (
	Holds     State = "holds"
	Broken    State = "broken"
	Unchecked State = "unchecked" // nobody can be asked, or it does not answer, or not about all yet
)

// Verdict is the schema Invariant of the contract: whether something holds that must survive everything.
type Verdict struct {
	// Name is accounted, charges or mails.
	Name  string `json:"name"`
	State State  `json:"state"`
	// Title and Promise are the name and the meaning as people read them.
	Title   string `json:"title"`
	Promise string `json:"promise"`
	// Text says what was compared.
	Text string `json:"text"`
	// Orders that contradict it, a few.
	Orders []string `json:"orders,omitempty"`
}

// invariants, in the order in which they are shown.
var invariants = []Verdict{
	{
		Name: "accounted", Title: "Nothing lost",
		Promise: "Every order that was acknowledged is settled, in flight with somebody, or parked",
	},
	{Name: "charges", Title: "Charged once", Promise: "One charge and at most one refund for each order, as the log says"},
	{Name: "mails", Title: "Told once", Promise: "One mail for each fact that a customer is told"},
}

// unchecked are the invariants while nobody can say whether they hold.
func unchecked(why string) []Verdict {
	all := slices.Clone(invariants)
	for i := range all {
		all[i].State, all[i].Text = Unchecked, why
	}
	return all
}

// shown is how many orders a verdict names.
const shown = 5

// finding is what was found of one invariant.
type finding struct {
	state State
	text  string
	wrong []*order // those that contradict
}

// judge holds the journal against what must be true of it, once it has passed the ends of f.
func (p *Pulse) judge(ctx context.Context, f flow, n counts, parked map[string][]string) []Verdict {
	j := p.journal
	if !j.passed(f.ends) {
		return unchecked("the log is being read")
	}
	all := slices.Clone(invariants)
	for i, found := range []finding{n.accounted(), p.outside.charges(ctx, j), p.outside.mailed(ctx, j, f, parked)} {
		all[i].State, all[i].Text = found.state, found.text
		slices.SortFunc(found.wrong, func(a, b *order) int { return a.placedAt.Compare(b.placedAt) })
		for _, o := range found.wrong[:min(shown, len(found.wrong))] {
			all[i].Orders = append(all[i].Orders, o.id)
		}
	}
	return all
}

// recent orders were placed at most so long ago.
const recent = 5 * time.Second

// counts say how the orders that are judged stand.
type counts struct {
	placed, recent, settled, open, parked, givenUp int

	lost []*order // nobody works on them
}

// count counts the orders that are judged. A participant commits only what it has answered, so an order whose next event
// is committed, without an answer in the log, is lost.
func (j *journal) count(f flow, parked map[string][]string, givenUp map[string]bool) (n counts) {
	for _, o := range j.orders {
		if !j.judged(o) {
			continue
		}
		n.placed++
		if f.at.Sub(o.placedAt) < recent {
			n.recent++
		}
		group, topic, offset := o.waitsFor()
		committed, known := f.standings[group].Committed[broker.TopicPartition{Topic: topic, Partition: o.partition}]
		switch {
		case o.settled():
			n.settled++
		case parked[o.id] != nil:
			n.parked++
		case givenUp[o.id]:
			n.givenUp++
		case known && committed > offset:
			n.lost = append(n.lost, o)
		default:
			n.open++
		}
	}
	return n
}

// accounted: each order that was placed is settled, or parked, or its next event lies before who must answer it.
func (n counts) accounted() finding {
	text := fmt.Sprintf("%d acknowledged = %d settled + %d in flight + %d parked", n.placed, n.settled, n.open, n.parked)
	if n.givenUp > 0 {
		text += fmt.Sprintf(" + %d given up by an operator", n.givenUp)
	}
	if len(n.lost) > 0 {
		return finding{Broken, text + fmt.Sprintf(" + %d that nobody works on", len(n.lost)), n.lost}
	}
	return finding{Holds, text, nil}
}

// contradicts says what of the log the gateway contradicts; empty: nothing. What is not in the log yet may be at the gateway already.
func (o *order) contradicts() string {
	switch m := o.money; {
	case m.Charges > 1:
		return "charged twice"
	case m.Refunds > 1:
		return "refunded twice"
	case o.succeeded > 0 && m.Charges == 0:
		return "never charged, says the gateway"
	case o.declined > 0 && m.Charges > 0:
		return "charged, though declined"
	case o.refunded > 0 && m.Refunds == 0:
		return "never refunded, says the gateway"
	case m.Charges > 0 && m.Charged != o.total:
		return "charged another sum"
	case m.Refunds > 0 && m.Refunded != o.total:
		return "refunded another sum"
	}
	return ""
}

// charges holds the gateway's ledger against the log, order by order.
func (w *outside) charges(ctx context.Context, j *journal) finding {
	if w.playground.Gateway == "" {
		return finding{Unchecked, "this gateway cannot be asked for its ledger", nil}
	}
	err := w.askGateway(ctx, j)
	var orders, asked, charges, refunds int
	var wrong []*order
	for _, o := range j.orders {
		if !j.judged(o) {
			continue
		}
		orders++
		if o.money != nil {
			asked, charges, refunds = asked+1, charges+o.money.Charges, refunds+o.money.Refunds
		}
		if o.wrong != "" {
			wrong = append(wrong, o)
		}
	}
	switch {
	case len(wrong) > 0:
		text := fmt.Sprintf("%s contradicted by the gateway: %s", plural(len(wrong), "order"), reasons(wrong))
		return finding{Broken, text, wrong}
	case err != nil:
		return finding{Unchecked, "the gateway's ledger does not answer", nil}
	}
	text := plural(charges, "charge") + " and " + plural(refunds, "refund") + " at the gateway, as the log has them"
	if asked < orders {
		text += fmt.Sprintf(" (%d of %d orders looked up)", asked, orders)
	}
	// What was found before the journal was begun is found again only when every order is looked up.
	if j.asked = j.asked || asked == orders; !j.asked {
		return finding{Unchecked, text, nil}
	}
	return finding{Holds, text, nil}
}

func reasons(wrong []*order) string {
	var all []string
	for _, o := range wrong {
		all = append(all, o.wrong)
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ", ")
}

// mailed: what was sent, says the log, is in the mailbox; and what is in the mailbox was sent, says the log, once nothing is in flight.
func (w *outside) mailed(ctx context.Context, j *journal, f flow, parked map[string][]string) finding {
	if w.playground.Mailbox == "" {
		return finding{Unchecked, "this mailbox cannot be asked", nil}
	}
	if err := w.askMailbox(ctx); err != nil {
		return finding{Unchecked, "the mailbox does not answer", nil}
	}
	var facts, copies, strangers int
	var missing []*order
	first := time.Time{}
	for _, o := range j.orders {
		if !j.judged(o) {
			continue
		}
		if first.IsZero() || o.placedAt.Before(first) {
			first = o.placedAt
		}
		for _, id := range o.sent {
			facts++
			m, there := w.mails[id]
			if copies += max(0, m.copies-1); !there && !w.partial {
				missing = append(missing, o)
				break
			}
		}
	}
	// A mail goes out before its fact is in the log: only without anything in flight, or left out, is one without a fact a stranger.
	if j.since.IsZero() && f.idle(notification, j) && !stands(parked, notification) {
		for id, m := range w.mails {
			if j.mails[id] == "" && !first.IsZero() && m.at.After(first) && m.at.Before(f.at) {
				strangers++
			}
		}
	}
	if len(missing) > 0 || strangers > 0 {
		text := plural(len(missing), "order") + " without their mail, " + plural(strangers, "mail") + " that the log does not know"
		return finding{Broken, text, missing}
	}
	text := plural(facts, "mail") + " in the mailbox, one for each that the log has"
	if copies > 0 {
		text += fmt.Sprintf("; %d again, with the same Message-ID", copies)
	}
	return finding{Holds, text, nil}
}

const notification = "notification"

// idle says that a group had answered everything that it listens to.
func (f flow) idle(group string, j *journal) bool {
	for tp, committed := range f.standings[group].Committed {
		if log, known := j.places[tp]; known && max(committed, log.start) < f.ends[tp] {
			return false
		}
	}
	return true
}

// stands says whether a participant has parked something.
func stands(parked map[string][]string, participant string) bool {
	for _, participants := range parked {
		if slices.Contains(participants, participant) {
			return true
		}
	}
	return false
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
