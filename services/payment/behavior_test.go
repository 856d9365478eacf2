package payment

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	paymentv1 "github.com/troupe-dev/troupe/schemas/gen/payment/v1"
	"github.com/troupe-dev/troupe/services/payment/internal/domain"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"
)

var placedAt = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const (
	deadline     = 15 * time.Minute
	keyMemory    = 23 * time.Hour
	undecidedFor = 336 * time.Hour
)

// fakeGateway keeps the promise of Gateway: the same event id is charged or refunded once. unknown outcomes happen after the
// effect, the worst case.
type fakeGateway struct {
	decline string // reason; empty: charged
	unknown int    // calls that take effect and then fail as Unavailable
	err     error  // of every call, which then has no effect
	amount  int64  // charged instead of what was asked; 0: what was asked

	charges, refunds map[string]int // by event id: times that money moved
	outcomes         map[string]Outcome
	calls            []string
	asked            Charge
	returned         Return
}

func newFakeGateway() *fakeGateway {
	return &fakeGateway{charges: map[string]int{}, refunds: map[string]int{}, outcomes: map[string]Outcome{}}
}

func (g *fakeGateway) answer(call string) error {
	g.calls = append(g.calls, call)
	if g.unknown > 0 {
		g.unknown--
		return fault.New(fault.Unavailable, "no answer")
	}
	return nil
}

func (g *fakeGateway) Charge(_ context.Context, c Charge) (Outcome, error) {
	if g.asked = c; g.err != nil {
		return Outcome{}, g.err
	}
	if _, known := g.outcomes[c.EventID]; !known {
		o := Outcome{IntentID: "pi_1", Reason: g.decline}
		if g.decline == "" {
			o = Outcome{IntentID: "pi_1", Charged: true, Amount: max(c.Amount, g.amount), Currency: c.Currency}
			g.charges[c.EventID]++
		}
		g.outcomes[c.EventID] = o
	}
	return g.outcomes[c.EventID], g.answer("charge")
}

func (g *fakeGateway) Abandon(_ context.Context, c Charge) (Outcome, error) {
	if g.asked = c; g.err != nil {
		return Outcome{}, g.err
	}
	if _, known := g.outcomes[c.EventID]; !known {
		g.outcomes[c.EventID] = Outcome{IntentID: "pi_1", Reason: domain.ReasonTimeout}
	}
	return g.outcomes[c.EventID], g.answer("abandon")
}

func (g *fakeGateway) Refund(_ context.Context, r Return) (string, error) {
	if g.returned = r; g.err != nil {
		return "", g.err
	}
	g.refunds[r.EventID] = 1
	return "re_1", g.answer("refund")
}

func placed() event.Message {
	return event.Message{Event: event.Event{ID: "e-1", Subject: "o-1", Time: placedAt}, Body: &orderv1.OrderPlaced{
		CustomerId: "c-1", Total: 2500, Currency: "EUR", PaymentMethod: "pm_card_visa", PaymentDeadline: timestamppb.New(placedAt.Add(deadline)),
	}}
}

func cancelled() event.Message {
	return event.Message{Event: event.Event{ID: "e-2", Subject: "o-1", Time: placedAt.Add(time.Hour)}, Body: &orderv1.OrderCancelled{}}
}

// at is a moment so long after the order was placed.
func at(t *testing.T, d time.Duration) context.Context {
	return participant.WithAttempt(t.Context(), participant.Attempt{Now: placedAt.Add(d)})
}

var paid = domain.Payment{Status: domain.Succeeded, IntentID: "pi_1", Amount: 2500, Currency: "EUR"}

func TestReact(t *testing.T) {
	succeeded := &paymentv1.PaymentSucceeded{PaymentIntentId: "pi_1", Amount: 2500, Currency: "EUR"}
	refunded := &paymentv1.PaymentRefunded{RefundId: "re_1", PaymentIntentId: "pi_1", Amount: 2500, Currency: "EUR"}
	noDeadline := placed()
	noDeadline.Body.(*orderv1.OrderPlaced).PaymentDeadline = nil
	for _, tc := range []struct {
		name    string
		state   domain.Payment
		event   event.Message
		after   time.Duration
		gateway func(*fakeGateway)
		want    proto.Message
		class   fault.Class // of the error, when there is no fact
		fails   bool
		calls   []string
	}{
		{name: "placed: charged", event: placed(), want: succeeded, calls: []string{"charge"}},
		{name: "placed: declined", event: placed(), gateway: func(g *fakeGateway) { g.decline = "insufficient_funds" },
			want: &paymentv1.PaymentDeclined{Reason: "insufficient_funds", PaymentIntentId: "pi_1"}, calls: []string{"charge"}},
		{name: "placed: outcome unknown", event: placed(), gateway: func(g *fakeGateway) { g.unknown = 1 },
			fails: true, class: fault.Unavailable, calls: []string{"charge"}},
		{name: "placed: gateway down", event: placed(),
			gateway: func(g *fakeGateway) { g.err = fault.New(fault.Unavailable, "down") }, fails: true, class: fault.Unavailable},
		{name: "placed: another amount charged", event: placed(), gateway: func(g *fakeGateway) { g.amount = 9999 },
			fails: true, class: fault.Permanent, calls: []string{"charge"}},
		{name: "placed: at the deadline still charged", event: placed(), after: 15 * time.Minute, want: succeeded, calls: []string{"charge"}},
		{name: "placed: after the deadline given up", event: placed(), after: 15*time.Minute + 1,
			want: &paymentv1.PaymentDeclined{Reason: "payment_timeout", PaymentIntentId: "pi_1"}, calls: []string{"abandon"}},
		{name: "placed: after the deadline charged before", event: placed(), after: time.Hour,
			gateway: func(g *fakeGateway) {
				g.outcomes["e-1"] = Outcome{IntentID: "pi_1", Charged: true, Amount: 2500, Currency: "EUR"}
			},
			want: succeeded, calls: []string{"abandon"}},
		{name: "placed: no deadline", event: noDeadline, fails: true, class: fault.Invalid},
		{name: "placed: succeeded before", state: paid, event: placed()},
		{name: "placed: declined before", state: domain.Payment{Status: domain.Declined}, event: placed()},
		{name: "placed: refunded before", state: domain.Payment{Status: domain.Refunded}, event: placed()},
		{name: "cancelled: payment open", event: cancelled(), fails: true, class: fault.NotYet},
		{name: "cancelled: paid", state: paid, event: cancelled(), want: refunded, calls: []string{"refund"}},
		{name: "cancelled: outcome of refund unknown", state: paid, event: cancelled(), gateway: func(g *fakeGateway) { g.unknown = 1 },
			fails: true, class: fault.Unavailable, calls: []string{"refund"}},
		{name: "cancelled: declined", state: domain.Payment{Status: domain.Declined}, event: cancelled()},
		{name: "cancelled: refunded before", state: domain.Payment{Status: domain.Refunded}, event: cancelled()},
		{name: "another event", event: event.Message{Body: &orderv1.OrderConfirmed{}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newFakeGateway()
			if tc.gateway != nil {
				tc.gateway(g)
			}
			got, err := Behavior(g, keyMemory, undecidedFor).React(at(t, tc.after), tc.state, tc.event)
			if (err != nil) != tc.fails || tc.fails && fault.ClassOf(err) != tc.class {
				t.Errorf("error %v of class %s; want failing: %t, class %s", err, fault.ClassOf(err), tc.fails, tc.class)
			}
			if diff := cmp.Diff(tc.want, got, protocmp.Transform()); diff != "" {
				t.Errorf("fact (-want +got):\n%s", diff)
			}
			if !slices.Equal(g.calls, tc.calls) {
				t.Errorf("calls %q, want %q", g.calls, tc.calls)
			}
		})
	}
}

func TestReactNamesTheFieldAtFault(t *testing.T) {
	m := placed()
	m.Body.(*orderv1.OrderPlaced).PaymentDeadline = nil
	_, err := Behavior(newFakeGateway(), keyMemory, undecidedFor).React(at(t, 0), domain.Payment{}, m)
	if e, ok := errors.AsType[*fault.Error](err); !ok || e.Field != "payment_deadline" {
		t.Errorf("got %v, want an error of field payment_deadline", err)
	}
}

// A clock that is wrong gives nothing up, forgets no key by it, and sends nothing to a person.
func TestAClockThatIsWrongGivesNothingUp(t *testing.T) {
	wrong := func(age time.Duration) context.Context {
		return participant.WithAttempt(t.Context(), participant.Attempt{Now: placedAt.Add(age), Skewed: true})
	}
	g := newFakeGateway()
	fact, err := Behavior(g, keyMemory, undecidedFor).React(wrong(30*time.Minute), domain.Payment{}, placed())
	if _, ok := fact.(*paymentv1.PaymentSucceeded); !ok || err != nil || !g.asked.KeysForgotten {
		t.Errorf("after the deadline: %v, %v, asked %+v", fact, err, g.asked)
	}
	if _, err := Behavior(g, keyMemory, undecidedFor).React(wrong(deadline+searchLag), domain.Payment{}, placed()); err != nil || g.asked.Overdue {
		t.Errorf("long after the deadline: %v, asked %+v", err, g.asked)
	}
	g.err = fault.Defer(0, "pending")
	if _, err := Behavior(g, keyMemory, undecidedFor).React(wrong(2*undecidedFor), paid, cancelled()); fault.ClassOf(err) != fault.Deferred {
		t.Errorf("refund: %v of class %s", err, fault.ClassOf(err))
	}
}

// What the gateway has not decided about waits alone: a charge not beyond the payment deadline, and nothing beyond what
// is worth waiting.
func TestWhatIsNotDecidedWaitsAlone(t *testing.T) {
	for _, tc := range []struct {
		name   string
		state  domain.Payment
		event  event.Message
		age    time.Duration
		class  fault.Class
		within time.Duration
	}{
		{"charge", domain.Payment{}, placed(), 5 * time.Minute, fault.Deferred, deadline - 5*time.Minute + time.Second},
		{"charge, at the deadline", domain.Payment{}, placed(), deadline, fault.Deferred, time.Second},
		{"charge, after the deadline", domain.Payment{}, placed(), deadline + 1, fault.Deferred, 0},
		{"charge, for too long", domain.Payment{}, placed(), undecidedFor, fault.Permanent, 0},
		{"refund", paid, cancelled(), time.Hour, fault.Deferred, 0},
		{"refund, after a week", paid, cancelled(), 7 * 24 * time.Hour, fault.Deferred, 0},
		{"refund, for too long", paid, cancelled(), time.Hour + undecidedFor, fault.Permanent, 0},
	} {
		g := newFakeGateway()
		g.err = fault.Defer(0, "pending")
		fact, err := Behavior(g, keyMemory, undecidedFor).React(at(t, tc.age), tc.state, tc.event)
		e, _ := errors.AsType[*fault.Error](err)
		if fact != nil || fault.ClassOf(err) != tc.class || e.RetryAfter != tc.within {
			t.Errorf("%s: %v, %v of class %s within %s; want class %s within %s", tc.name, fact, err, e.Class, e.RetryAfter, tc.class, tc.within)
		}
	}
}

// What the gateway is asked comes from the event alone, so that the same event asks the same.
func TestReactAsksFromTheEvent(t *testing.T) {
	g := newFakeGateway()
	b := Behavior(g, keyMemory, undecidedFor)
	for _, tc := range []struct {
		age       time.Duration
		edited    bool
		forgotten bool
		overdue   bool
	}{
		{age: 0}, {age: 0, edited: true, forgotten: true}, {age: deadline + searchLag - 1}, {age: deadline + searchLag, overdue: true},
		{age: keyMemory - 1, overdue: true}, {age: keyMemory, forgotten: true, overdue: true}, {age: 48 * time.Hour, forgotten: true, overdue: true},
	} {
		asked := func(age time.Duration) context.Context {
			return participant.WithAttempt(t.Context(), participant.Attempt{Now: placedAt.Add(age), Edited: tc.edited})
		}
		if _, err := b.React(asked(tc.age), domain.Payment{}, placed()); err != nil {
			t.Fatal(err)
		}
		want := Charge{EventID: "e-1", OrderID: "o-1", CustomerID: "c-1", Amount: 2500, Currency: "EUR", Method: "pm_card_visa",
			KeysForgotten: tc.forgotten, Edited: tc.edited, Overdue: tc.overdue}
		if g.asked != want {
			t.Errorf("age %s: asked for %+v, want %+v", tc.age, g.asked, want)
		}
		if _, err := b.React(asked(time.Hour+tc.age), paid, cancelled()); err != nil {
			t.Fatal(err)
		}
		back := Return{EventID: "e-2", OrderID: "o-1", IntentID: "pi_1", Amount: 2500, Currency: "EUR", KeysForgotten: tc.forgotten}
		if g.returned != back {
			t.Errorf("age %s: returned %+v, want %+v", tc.age, g.returned, back)
		}
	}
}

// However often answers are lost and the instance dies between the gateway's answer and the fact, at whatever hour it comes back:
// one charge, at most one refund, and a charge is never forgotten.
func TestEffectsHappenOnceThroughCrashes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		g := newFakeGateway()
		if rapid.Bool().Draw(rt, "declined") {
			g.decline = "card_declined"
		}
		b := Behavior(g, keyMemory, undecidedFor)
		// Each attempt is later than the one before; all but the last are lost by a crash or a lost answer.
		react := func(state domain.Payment, m event.Message) proto.Message {
			var fact proto.Message
			after := time.Duration(0)
			for range rapid.IntRange(1, 5).Draw(rt, "attempts") {
				after += time.Duration(rapid.IntRange(0, 20).Draw(rt, "minutes")) * time.Minute
				g.unknown = rapid.IntRange(0, 2).Draw(rt, "answers lost")
				var err error
				for fact, err = b.React(at(t, after), state, m); err != nil; fact, err = b.React(at(t, after), state, m) {
					if fault.ClassOf(err) != fault.Unavailable {
						rt.Fatalf("after %s: %v", after, err)
					}
				}
			}
			return fact
		}
		first := react(domain.Payment{}, placed())
		state := b.Evolve(domain.Payment{}, event.Message{Body: first})
		_, charged := first.(*paymentv1.PaymentSucceeded)
		if (g.charges["e-1"] == 1) != charged || g.charges["e-1"] > 1 {
			rt.Fatalf("%d charges, and the fact is %T", g.charges["e-1"], first)
		}
		second := react(state, cancelled())
		if _, back := second.(*paymentv1.PaymentRefunded); back != charged || g.refunds["e-2"] != g.charges["e-1"] {
			rt.Fatalf("%d charges, %d refunds, and the fact is %T", g.charges["e-1"], g.refunds["e-2"], second)
		}
	})
}

func TestFactsSurviveTheLog(t *testing.T) {
	for _, f := range []domain.Fact{
		domain.PaymentSucceeded{IntentID: "pi_1", Amount: 2500, Currency: "EUR"},
		domain.PaymentDeclined{Reason: "lost_card", IntentID: "pi_1"},
		domain.PaymentRefunded{RefundID: "re_1", IntentID: "pi_1", Amount: 2500, Currency: "EUR"},
	} {
		if got := fromBody(toBody(f)); got != f {
			t.Errorf("%+v came back as %+v", f, got)
		}
	}
	if got := Behavior(nil, 0, 0).Evolve(paid, event.Message{Body: &orderv1.OrderPlaced{}}); got != paid {
		t.Errorf("an event of another participant made %+v", got)
	}
}
