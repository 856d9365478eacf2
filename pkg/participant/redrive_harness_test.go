package participant_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const asks = "clerk.redrive.v1"

// doctor is a clerk who cannot answer a note whose text is bad, until that is healed.
type doctor struct {
	mu    sync.Mutex
	bad   map[string]error
	calls []string
}

func (d *doctor) react(ctx context.Context, l ledger, m event.Message) (proto.Message, error) {
	d.mu.Lock()
	d.calls = append(d.calls, text(m))
	err := d.bad[text(m)]
	d.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return stamp(ctx, l, m)
}

// set makes a text fail; nil heals it.
func (d *doctor) set(text string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.bad[text] = err
}

// called returns the texts that were put to React since it was asked last.
func (d *doctor) called() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	calls := d.calls
	d.calls = nil
	return calls
}

var errPoison = fault.New(fault.Permanent, "no such account")

func newDoctor() *doctor { return &doctor{bad: map[string]error{"poison": errPoison}} }

// sick parks the notes of an order; the first of them is "poison".
func (s *stage) sick(order string, behind ...string) {
	s.t.Helper()
	s.hand(notes, order, "poison")
	for i, body := range behind {
		topic := notes
		if strings.HasPrefix(body, "m") {
			topic = mails
		}
		s.hand(topic, order, body)
		s.eventually("parked", func() bool { return len(s.told(order)) == i+2 })
	}
	s.eventually("parked", func() bool { return len(s.told(order)) == len(behind)+1 })
}

// ask puts a request about a letter, which is named by its text; "" names none.
func (s *stage) ask(n int, action deadletter.Action, order, letter string) broker.Record {
	q := deadletter.Request{
		ID: fmt.Sprintf("request-%d", n), Action: action, Order: order, By: "ada", Reason: "fixed", Partition: at(asks, order).Partition,
		At: time.Now(), Letter: s.idOf(order, letter),
	}
	if action == deadletter.Edit {
		q.Payload, _ = event.Encode(wrapperspb.String("edited"))
	}
	r := q.Record("clerk")
	s.log.Append(at(asks, order), r)
	return r
}

// idOf is the id of the event of an order with a text; a text that is none is the id itself.
func (s *stage) idOf(order, body string) string {
	for _, topic := range []string{notes, mails} {
		for _, r := range s.log.Read(at(topic, order)) {
			if id := event.MakeID(topic, order, body); header(r, "ce_id") == id {
				return id
			}
		}
	}
	return body
}

// told returns what the dead-letter topic says of an order: kind and text of each letter's event, and of a closed
// request the numbers, and why it stopped.
func (s *stage) told(order string) (out []string) {
	s.t.Helper()
	name := map[string]string{}
	for _, topic := range []string{notes, mails} {
		for _, r := range s.log.Read(at(topic, order)) {
			e, _ := event.FromRecord(r)
			m, _ := event.Decode(e)
			name[e.ID] = text(m)
		}
	}
	for _, r := range s.log.Read(at("clerk.dead-letters.v1", order)) {
		n, err := deadletter.Parse(r)
		if err != nil {
			s.t.Fatal(err)
		}
		switch {
		case n.Order != order:
		case n.Kind == deadletter.Closed:
			out = append(out, strings.TrimSpace(fmt.Sprintf("closed %d/%d %s", n.Redriven, n.Waiting, n.Class)))
		case n.Kind == deadletter.Failed:
			out = append(out, fmt.Sprintf("failed %s*%d", name[n.ID], n.Redrives))
		default:
			out = append(out, strings.TrimSpace(string(n.Kind)+" "+name[n.ID]))
		}
	}
	return out
}

// since are those told after the first n.
func (s *stage) since(order string, n int) []string {
	told := s.told(order)
	return told[min(n, len(told)):]
}

// closes waits until n requests of an order are closed, and their offsets committed.
func (s *stage) closes(order string, n int) {
	s.t.Helper()
	s.eventually(fmt.Sprintf("%d closed", n), func() bool {
		closed := 0
		for _, told := range s.told(order) {
			if strings.HasPrefix(told, "closed") {
				closed++
			}
		}
		return closed >= n && s.log.Committed("clerk")[at(asks, order)] == int64(len(s.log.Read(at(asks, order))))
	})
}

// treated plays a doctor and parks a chain.
func treated(t *testing.T, f func(t *testing.T, s *stage, d *doctor), behind ...string) {
	t.Helper()
	onStage(t, func(t *testing.T, s *stage) {
		d := newDoctor()
		_, stop := s.play(clerk(d.react))
		defer stop()
		s.sick("o1", behind...)
		d.called()
		f(t, s, d)
	})
}
