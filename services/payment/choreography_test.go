package payment

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/schemas/choreography"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	paymentv1 "github.com/troupe-dev/troupe/schemas/gen/payment/v1"
	"github.com/troupe-dev/troupe/services/payment/internal/domain"
	"google.golang.org/protobuf/proto"
)

// The code and schemas/choreography.yaml say the same.
func TestChoreography(t *testing.T) {
	c, err := choreography.Load()
	if err != nil {
		t.Fatal(err)
	}
	g := newFakeGateway()
	b := Behavior(g, keyMemory, undecidedFor)
	hears := map[string][]string{}
	for _, h := range b.Subscribes {
		hears[h.Topic] = slices.Sorted(slices.Values(h.Types))
	}
	if diff := cmp.Diff(c.Subscriptions(Name), hears); diff != "" {
		t.Errorf("what it subscribes to (-choreography +code):\n%s", diff)
	}

	facts := []proto.Message{&paymentv1.PaymentSucceeded{}, &paymentv1.PaymentDeclined{}, &paymentv1.PaymentRefunded{}}
	states := []domain.Status{domain.Open, domain.Succeeded, domain.Declined, domain.Refunded}
	next, leads := map[string][]string{}, map[string]string{}
	for _, from := range states {
		if from != domain.Open {
			next[string(from)] = nil
		}
		for _, f := range facts {
			to := b.Evolve(domain.Payment{Status: from}, event.Message{Body: f}).Status
			if to == from {
				continue
			}
			leads[event.TypeOf(f)] = string(to)
			if from != domain.Open {
				next[string(from)] = append(next[string(from)], string(to))
			}
		}
	}
	if diff := cmp.Diff(c.Next(Name), next); diff != "" {
		t.Errorf("which state follows which (-choreography +code):\n%s", diff)
	}
	if diff := cmp.Diff(c.Evolve(Name), leads); diff != "" {
		t.Errorf("where facts lead (-choreography +code):\n%s", diff)
	}

	for cause, m := range map[string]event.Message{
		event.TypeOf(&orderv1.OrderPlaced{}):    placed(),
		event.TypeOf(&orderv1.OrderCancelled{}): cancelled(),
	} {
		answers := map[string]bool{}
		for _, s := range states {
			for _, decline := range []string{"", "card_declined"} {
				g := newFakeGateway()
				g.decline = decline
				fact, err := Behavior(g, keyMemory, undecidedFor).React(at(t, 0), domain.Payment{Status: s}, m)
				if err == nil && fact != nil {
					answers[event.TypeOf(fact)] = true
				}
			}
		}
		want := slices.Sorted(slices.Values(c.Answers(Name, cause)))
		if got := slices.Sorted(maps.Keys(answers)); !slices.Equal(got, want) {
			t.Errorf("%s is answered with %q, by the choreography with %q", cause, got, want)
		}
	}
}
