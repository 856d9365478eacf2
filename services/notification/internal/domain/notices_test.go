package domain

import (
	"errors"
	"maps"
	"testing"

	"pgregory.net/rapid"
)

func TestDecide(t *testing.T) {
	told := Notices{Email: "old@example.com", Told: map[Kind]Status{Confirmed: Sent, Refunded: Failed}}
	for _, tc := range []struct {
		name    string
		state   Notices
		kind    Kind
		carried string
		to      string
		ok      bool
		err     error
	}{
		{"first mail", Notices{}, Confirmed, "a@example.com", "a@example.com", true, nil},
		{"refund before any address", Notices{}, Refunded, "", "", false, ErrNoAddress},
		{"refund after a mail", Notices{Email: "a@example.com", Told: map[Kind]Status{Cancelled: Sent}}, Refunded, "", "a@example.com", true, nil},
		{"refund after a refused mail", Notices{Email: "a@example.com", Told: map[Kind]Status{Cancelled: Failed}}, Refunded, "", "a@example.com", true, nil},
		{"the event's own address is newer", told, Cancelled, "new@example.com", "new@example.com", true, nil},
		{"told", told, Confirmed, "a@example.com", "", false, nil},
		{"tried in vain", told, Refunded, "", "", false, nil},
	} {
		if to, ok, err := tc.state.Decide(tc.kind, tc.carried); to != tc.to || ok != tc.ok || !errors.Is(err, tc.err) {
			t.Errorf("%s: got %q, %v, %v", tc.name, to, ok, err)
		}
	}
}

// said is an event as far as the decision sees it. As in the choreography, the refund's alone carries no address.
type said struct {
	kind    Kind
	carried string
}

var (
	addresses = rapid.SampledFrom([]string{"a@example.com", "b@example.com"})
	facts     = rapid.Custom(func(t *rapid.T) Fact {
		return Fact{
			Kind:   rapid.SampledFrom([]Kind{Confirmed, Cancelled, Refunded}).Draw(t, "kind"),
			Status: rapid.SampledFrom([]Status{Sent, Failed}).Draw(t, "status"),
			Email:  addresses.Draw(t, "email"),
		}
	})
)

// live delivers events as a task does: what must wait is tried again after each answer. It returns the facts in order.
func live(arriving []said, status func() Status) (Notices, []Fact) {
	var n Notices
	var made []Fact
	var held []said
	answer := func(e said) bool {
		to, ok, err := n.Decide(e.kind, e.carried)
		if !ok {
			return err == nil
		}
		f := Fact{Kind: e.kind, Status: status(), Email: to}
		n, made = n.Evolve(f), append(made, f)
		return true
	}
	for _, e := range arriving {
		if !answer(e) {
			held = append(held, e)
			continue
		}
		var still []said
		for _, h := range held {
			if !answer(h) {
				still = append(still, h)
			}
		}
		held = still
	}
	return n, made
}

func drawStatus(t *rapid.T) func() Status {
	return func() Status { return rapid.SampledFrom([]Status{Sent, Failed}).Draw(t, "status") }
}

func TestAnyOrderAndDuplicationTellsEachKindOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		once := []said{{Confirmed, "a@example.com"}, {Cancelled, "a@example.com"}, {Refunded, ""}}
		delivered := append(rapid.Permutation(once).Draw(t, "order"), rapid.SliceOf(rapid.SampledFrom(once)).Draw(t, "again")...)
		delivered = rapid.Permutation(delivered).Draw(t, "shuffled")
		n, made := live(delivered, drawStatus(t))
		count := map[Kind]int{}
		for _, f := range made {
			count[f.Kind]++
			if f.Email != "a@example.com" {
				t.Fatalf("%s went to %q", f.Kind, f.Email)
			}
		}
		if want := (map[Kind]int{Confirmed: 1, Cancelled: 1, Refunded: 1}); !maps.Equal(count, want) || len(n.Told) != 3 {
			t.Fatalf("told %v, state %+v", count, n)
		}
	})
}

func TestWaitEndsWithTheFirstFactAndNeverComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var n Notices
		if _, _, err := n.Decide(Refunded, ""); !errors.Is(err, ErrNoAddress) {
			t.Fatalf("with no fact: %v", err)
		}
		for _, f := range rapid.SliceOfN(facts, 1, 20).Draw(t, "facts") {
			n = n.Evolve(f)
			if _, _, err := n.Decide(Refunded, ""); err != nil {
				t.Fatalf("still waits in %+v", n)
			}
		}
	})
}
