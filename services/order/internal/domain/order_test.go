package domain

import (
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// happenings are all an order can meet, each with its decision.
var happenings = map[string]func(Order) (Fact, error){
	"payment succeeded":      Order.OnPaymentSucceeded,
	"payment declined":       Order.OnPaymentDeclined,
	"cancellation requested": Order.OnCancellationRequested,
	"deadline passed":        Order.OnDeadlinePassed,
}

var names = []string{"payment succeeded", "payment declined", "cancellation requested", "deadline passed"}

func placed(t interface{ Fatal(...any) }) OrderPlaced {
	f, err := Place(request(), taken, 15*time.Minute, morning)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// in returns an order in a state, reached by its facts.
func in(t interface{ Fatal(...any) }, s Status) Order {
	facts := map[Status][]Fact{
		Unplaced:  {},
		Placed:    {placed(t)},
		Confirmed: {placed(t), OrderConfirmed{}},
		Cancelled: {placed(t), OrderCancelled{ByCustomer}},
	}
	var o Order
	for _, f := range facts[s] {
		o = o.Evolve(f)
	}
	if o.Status != s {
		t.Fatal("state", o.Status, "instead of", s)
	}
	return o
}

func TestDecisions(t *testing.T) {
	for _, tc := range []struct {
		happens string
		in      Status
		want    Fact
	}{
		{"payment succeeded", Placed, OrderConfirmed{}},
		{"payment succeeded", Confirmed, nil},
		{"payment succeeded", Cancelled, nil},
		{"payment declined", Placed, OrderCancelled{PaymentDeclined}},
		{"payment declined", Confirmed, nil},
		{"payment declined", Cancelled, nil},
		{"cancellation requested", Placed, OrderCancelled{ByCustomer}},
		{"cancellation requested", Confirmed, OrderCancelled{ByCustomer}},
		{"cancellation requested", Cancelled, nil},
		{"deadline passed", Placed, OrderCancelled{PaymentTimeout}},
		{"deadline passed", Confirmed, nil},
		{"deadline passed", Cancelled, nil},
	} {
		got, err := happenings[tc.happens](in(t, tc.in))
		if err != nil || got != tc.want {
			t.Errorf("%s in %s: got %v, %v; want %v", tc.happens, tc.in, got, err, tc.want)
		}
	}
	for _, name := range names {
		if f, err := happenings[name](Order{}); f != nil || !errors.Is(err, ErrNotPlaced) {
			t.Errorf("%s before the order is placed: %v, %v", name, f, err)
		}
	}
}

func TestEvolveRefusesWhatIsNoStep(t *testing.T) {
	again := placed(t)
	again.Email = "eve@example.com"
	for _, s := range []Status{Unplaced, Placed, Confirmed, Cancelled} {
		for _, f := range []Fact{again, OrderConfirmed{}, OrderCancelled{PaymentTimeout}} {
			before := in(t, s)
			after := before.Evolve(f)
			if slices.Contains(next[s], f.status()) {
				if after.Status != f.status() {
					t.Errorf("%T in %q: is %q", f, s, after.Status)
				}
			} else if !reflect.DeepEqual(before, after) {
				t.Errorf("%T in %q changed the order to %+v", f, s, after)
			}
		}
	}
}

func TestOnlyAPlacedOrderHasADeadline(t *testing.T) {
	for _, s := range []Status{Unplaced, Placed, Confirmed, Cancelled} {
		at, ok := in(t, s).Deadline()
		if ok != (s == Placed) || ok && !at.Equal(morning.Add(15*time.Minute)) {
			t.Errorf("%q: %s, %v", s, at, ok)
		}
	}
}

func TestCancelWindow(t *testing.T) {
	o := in(t, Placed)
	if !o.Cancellable(morning.Add(336*time.Hour), 336*time.Hour) || o.Cancellable(morning.Add(336*time.Hour+1), 336*time.Hour) {
		t.Error("the window does not end where it should")
	}
}

// history is one order under deliveries in any order, with duplicates, and held ones tried again after each that passes; as
// the cycle does it.
type history struct {
	order Order
	facts []Fact
	held  []string
}

func (h *history) deliver(t *rapid.T, name string) {
	switch f, err := happenings[name](h.order); {
	case err != nil:
		h.held = append(h.held, name)
	case f != nil:
		h.append(t, f)
	}
}

func (h *history) append(t *rapid.T, f Fact) {
	if !slices.Contains(next[h.order.Status], f.status()) {
		t.Fatalf("decided %T in %q", f, h.order.Status)
	}
	h.facts = append(h.facts, f)
	h.order = h.order.Evolve(f)
}

func TestAnyOrderOfDeliveriesEndsLegally(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// What the world can bring: one answer of payment, perhaps a request, perhaps the deadline; duplicated and shuffled.
		world := []string{rapid.SampledFrom([]string{"payment succeeded", "payment declined"}).Draw(t, "answer")}
		for _, name := range []string{"cancellation requested", "deadline passed"} {
			if rapid.Bool().Draw(t, name) {
				world = append(world, name)
			}
		}
		for range rapid.IntRange(0, 4).Draw(t, "duplicates") {
			world = append(world, rapid.SampledFrom(world).Draw(t, "duplicate"))
		}
		deliveries := rapid.Permutation(append(slices.Clone(world), "placed")).Draw(t, "deliveries")

		var h history
		for _, name := range deliveries {
			if name == "placed" {
				h.append(t, placed(t))
				held := h.held
				h.held = nil
				for _, name := range held {
					h.deliver(t, name)
				}
				continue
			}
			h.deliver(t, name)
		}

		count := map[Status]int{}
		for _, f := range h.facts {
			count[f.status()]++
		}
		if count[Confirmed] > 1 || count[Cancelled] > 1 || len(h.held) > 0 {
			t.Fatalf("facts %v, held %v", h.facts, h.held)
		}
		declined, asked := slices.Contains(world, "payment declined"), slices.Contains(world, "cancellation requested")
		switch h.order.Status {
		case Confirmed:
			if declined || asked {
				t.Fatalf("confirmed although %v", world)
			}
		case Cancelled:
			if !declined && !asked && !slices.Contains(world, "deadline passed") {
				t.Fatalf("cancelled although only %v", world)
			}
		default:
			t.Fatalf("ends %q after %v", h.order.Status, deliveries)
		}
	})
}
