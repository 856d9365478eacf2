package participant

import (
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant/internal/orders"
)

// maxUnfolded is how many facts a fold of one partition may park. Where there are more the fault is in Evolve, not in
// them: the instance does not become ready, so that a rollout stops, and the release before it can take over.
const maxUnfolded = 100

// foldFact folds one record of the own topic: a fact evolves the state only when it is the next of its order, and
// marks its cause as answered; it answers nothing itself. One that Evolve cannot take stops its order alone: it is
// parked, with those that follow it, and folded when it is redriven.
func foldFact(t *partition, r broker.Record) error {
	c := t.c
	e, err := event.FromRecord(r)
	if err != nil {
		c.watch.unreadable(r)
		return nil
	}
	if e.Sequence == 0 { // a request: input, not state
		return nil
	}
	if err := event.Misplaced(r, c.cfg.Partitions); err != nil {
		c.watch.misplaced(r, err)
		return nil
	}
	o := t.orders[e.Subject]
	if e.Sequence <= o.Own().Sequence {
		switch own := t.outbox.Undelivered(o.ID, e.Sequence); {
		case own == nil:
		case own.Contradicts(e):
			c.watch.contradicted(r)
			return c.Refold(t.Partition)
		case own.ID == e.ID:
			own.Acked, own.Offset = true, r.Offset
		default:
			c.watch.supersededFolded(r)
		}
		return nil
	}
	if o.behindUnfolded(e) {
		park(t, o, deliveryOf(r, e), nil)
		return nil
	}
	if !o.Own().Precedes(orders.LinkOf(e)) {
		c.watch.supersededFolded(r)
		return nil
	}
	m, err := event.Decode(e)
	if err != nil {
		c.watch.unreadable(r)
		m = event.Message{Event: e}
	}
	if err := o.evolve(c.b, m, r.Offset); err != nil {
		if t.unfolded++; t.unfolded > maxUnfolded {
			return fault.New(fault.Permanent, "more than %d facts cannot be folded, the last: %w", maxUnfolded, err)
		}
		park(t, o, deliveryOf(r, e), err)
		return nil
	}
	answeredInLog(t, o, r, e.CausationID)
	t.arm(o)
	t.touch(o)
	return nil
}

// foldNote folds one record of the dead-letter topic: a dead letter waits unless its event was answered or discarded
// since.
func foldNote(t *partition, r broker.Record) {
	n, err := deadletter.Parse(r)
	if err != nil {
		t.c.watch.unreadable(r)
		return
	}
	o := t.orders[n.Order]
	for _, e := range t.outbox.OfOrder(o.ID) {
		if e.ID == n.Name() && e.Record.Topic == t.c.b.letters {
			e.Acked, e.Offset = true, r.Offset
		}
	}
	t.touch(o)
	switch n.Kind {
	case deadletter.Letter:
		foldLetter(t, o, n, r)
	case deadletter.Failed:
		if o.Waits(n.ID) {
			o.FailedAgain(n)
			countLetters(t, o)
		}
	case deadletter.Closed:
		o.Answered(n.RequestID)
	default:
		if o.Waits(n.ID) {
			dropLetter(t, o, n.ID, n.Kind)
			if !n.Automatic {
				o.Advance(n.RequestID, comesBack(n.Kind))
			}
		}
		o.Settled(n.ID)
	}
}

func foldLetter(t *partition, o *order, n deadletter.Record, r broker.Record) {
	switch {
	case o.Waits(n.ID), o.SeenAs(n.ID) == orders.Told:
		return
	case o.Saw(n.ID) && o.SeenAs(n.ID) != orders.Owing:
		tellBack(t, o, n.ID)
		return
	}
	came := deadletter.Original(r)
	if e, err := event.FromRecord(came); err == nil {
		if foldedSince(t, o, came.Topic, e) {
			tellBack(t, o, n.ID)
			return
		}
		o.Adopt(came.Topic, e)
	}
	o.Park(n.ID, n.Topic, n.RetryAt)
	keepLetter(t, o, n.ID, r)
}

// foldedSince says that a parked event is a fact that an earlier release could not fold and this one has: there is no
// more to it, unless the participant reacts to it.
func foldedSince(t *partition, o *order, topic string, e event.Event) bool {
	return topic == t.c.b.facts && e.Sequence > 0 && e.Sequence <= o.Own().Sequence && !t.c.b.subscribed[topic][e.Type]
}
