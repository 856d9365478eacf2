package pulse

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
)

// The topics that the judge reads.
var orderTopic, paymentTopic = Topics[0], Topics[1]

// State of a Verdict.
type State string

// The states of a verdict.
const (
	Holds     State = "holds"
	Broken    State = "broken"
	Unchecked State = "unchecked" // nobody can be asked, or it does not answer
)

// Verdict is the schema Invariant of the contract: whether something holds that must survive everything.
type Verdict struct {
	// Name is accounted, charges or mails.
	Name  string `json:"name"`
	State State  `json:"state"`
	// Text says what was compared.
	Text string `json:"text"`
	// Orders that contradict it, a few.
	Orders []string `json:"orders,omitempty"`
}

// shown is how many orders a verdict names.
const shown = 5

// judge holds the journal against what must be true of it, once it has passed the ends of f. answered is false when Kafka did not.
func (p *Pulse) judge(ctx context.Context, f flow, answered bool, orders counts, parked map[string][]string) []Verdict {
	if !answered || !p.journal.passed(f.ends) {
		why := fmt.Sprintf("the log is being read, %.0f %%", 100*p.journal.share())
		if !answered {
			why = "Kafka does not answer"
		}
		return []Verdict{{"accounted", Unchecked, why, nil}, {"charges", Unchecked, why, nil}, {"mails", Unchecked, why, nil}}
	}
	return []Verdict{orders.accounted(), p.outside.charges(ctx, p.journal), p.outside.mailed(ctx, p.journal, f, parked)}
}

// counts say how the orders that are judged stand.
type counts struct {
	placed, settled, open, parked int
	given                         int      // given up by an operator
	lost                          []*order // nobody works on them
}

// count counts the orders that are judged. A participant commits only what it has answered, so an order whose next event is
// committed, without an answer in the log, is lost.
func (j *journal) count(f flow, parked map[string][]string) (n counts) {
	for _, o := range j.orders {
		if !j.judged(o) {
			continue
		}
		n.placed++
		group, topic, offset := o.waitsFor()
		committed, known := f.standings[group].Committed[broker.TopicPartition{Topic: topic, Partition: o.partition}]
		switch {
		case o.settled():
			n.settled++
		case parked[o.id] != nil:
			n.parked++
		case j.given[o.id]:
			n.given++
		case known && committed > offset:
			n.lost = append(n.lost, o)
		default:
			n.open++
		}
	}
	return n
}

// accounted: each order that was placed is settled, or parked, or its next event lies before who must answer it.
func (n counts) accounted() Verdict {
	v := Verdict{Name: "accounted", State: Holds}
	v.Text = fmt.Sprintf("%s acknowledged = %s settled + %s in flight + %s parked", num(n.placed), num(n.settled), num(n.open), num(n.parked))
	if n.given > 0 {
		v.Text += fmt.Sprintf(" + %s given up by an operator", num(n.given))
	}
	if len(n.lost) > 0 {
		v.State = Broken
		v.Text += fmt.Sprintf(" + %s that nobody works on", num(len(n.lost)))
		v.name(n.lost)
	}
	return v
}

// name adds the orders that contradict, the oldest first.
func (v *Verdict) name(orders []*order) {
	slices.SortFunc(orders, func(a, b *order) int { return a.placedAt.Compare(b.placedAt) })
	for _, o := range orders[:min(shown, len(orders))] {
		v.Orders = append(v.Orders, o.id)
	}
}

// contradicts says what of the log the gateway contradicts; empty: nothing. What is not in the log yet may be at the gateway already.
func (o *order) contradicts() string {
	switch {
	case o.charges > 1:
		return "charged twice"
	case o.refunds > 1:
		return "refunded twice"
	case o.succeeded > 0 && o.charges == 0:
		return "never charged, says the gateway"
	case o.declined > 0 && o.charges > 0:
		return "charged, though declined"
	case o.refunded > 0 && o.refunds == 0:
		return "never refunded, says the gateway"
	case o.charges > 0 && o.charged != o.total:
		return "charged another sum"
	case o.refunds > 0 && o.given != o.total:
		return "refunded another sum"
	}
	return ""
}

// charges holds the gateway's ledger against the log, order by order.
func (w *outside) charges(ctx context.Context, j *journal) Verdict {
	v := Verdict{Name: "charges", State: Holds}
	if w.gateway == "" {
		v.State, v.Text = Unchecked, "this gateway cannot be asked for its ledger"
		return v
	}
	err := w.askGateway(ctx, j)
	var orders, asked, charges, refunds int
	var wrong []*order
	for _, o := range j.orders {
		if !j.judged(o) {
			continue
		}
		orders++
		if o.asked {
			asked, charges, refunds = asked+1, charges+o.charges, refunds+o.refunds
		}
		if o.wrong != "" {
			wrong = append(wrong, o)
		}
	}
	v.Text = fmt.Sprintf("%s and %s at the gateway, as the log has them", plural(charges, "charge"), plural(refunds, "refund"))
	if asked < orders {
		v.Text += fmt.Sprintf(" (%s of %s orders looked up)", num(asked), num(orders))
	}
	switch {
	case len(wrong) > 0:
		v.State = Broken
		v.name(wrong)
		v.Text = fmt.Sprintf("%s contradicted by the gateway: %s", plural(len(wrong), "order"), reasons(wrong))
	case err != nil:
		v.State, v.Text = Unchecked, "the gateway's ledger does not answer"
	}
	return v
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
func (w *outside) mailed(ctx context.Context, j *journal, f flow, parked map[string][]string) Verdict {
	v := Verdict{Name: "mails", State: Holds}
	if w.mailbox == "" {
		v.State, v.Text = Unchecked, "this mailbox cannot be asked"
		return v
	}
	if err := w.askMailbox(ctx); err != nil {
		v.State, v.Text = Unchecked, "the mailbox does not answer"
		return v
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
	if j.since.IsZero() && f.idle(notification, j) && !stands(parked, deadletter.Topic(notification)) {
		for id, m := range w.mails {
			if j.mails[id] == "" && !first.IsZero() && m.at.After(first) && m.at.Before(f.at) {
				strangers++
			}
		}
	}
	v.Text = fmt.Sprintf("%s in the mailbox, one for each that the log has", plural(facts, "mail"))
	if copies > 0 {
		v.Text += fmt.Sprintf("; %s again, with the same Message-ID", num(copies))
	}
	if len(missing) > 0 || strangers > 0 {
		v.State = Broken
		v.Text = fmt.Sprintf("%s without their mail, %s that the log does not know", plural(len(missing), "order"), plural(strangers, "mail"))
		v.name(missing)
	}
	return v
}

const notification = "notification"

// idle says that a group had answered everything that it listens to.
func (f flow) idle(group string, j *journal) bool {
	for tp, committed := range f.standings[group].Committed {
		if max(committed, j.starts[tp]) < f.ends[tp] {
			return false
		}
	}
	return true
}

func stands(parked map[string][]string, topic string) bool {
	for _, topics := range parked {
		if slices.Contains(topics, topic) {
			return true
		}
	}
	return false
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return num(n) + " " + noun + "s"
}

// num writes a number with commas.
func num(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
