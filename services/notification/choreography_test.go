package notification

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/schemas/choreography"
	notificationv1 "github.com/troupe-dev/troupe/schemas/gen/notification/v1"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	"github.com/troupe-dev/troupe/services/notification/internal/domain"
	"google.golang.org/protobuf/proto"
)

// told is the one state of the choreography: something was told, and nothing is waited for.
const told = "told"

func stateOf(n domain.Notices) string {
	if len(n.Told) > 0 {
		return told
	}
	return ""
}

// The code and schemas/choreography.yaml say the same.
func TestChoreography(t *testing.T) {
	c, err := choreography.Load()
	if err != nil {
		t.Fatal(err)
	}
	b := Behavior(&fakeMailer{}, giveUpAfter)
	hears := map[string][]string{}
	for _, h := range b.Subscribes {
		hears[h.Topic] = slices.Sorted(slices.Values(h.Types))
	}
	if diff := cmp.Diff(c.Subscriptions(Name), hears); diff != "" {
		t.Errorf("what it subscribes to (-choreography +code):\n%s", diff)
	}

	facts := []proto.Message{
		&notificationv1.NotificationSent{Kind: notificationv1.Kind_KIND_CONFIRMED}, &notificationv1.NotificationFailed{Kind: notificationv1.Kind_KIND_CANCELLED},
	}
	next, leads, published := map[string][]string{}, map[string]string{}, []string{}
	for _, f := range facts {
		state := b.Evolve(domain.Notices{}, event.Message{Body: f})
		published = append(published, event.TypeOf(f))
		leads[event.TypeOf(f)] = stateOf(state)
		for _, then := range facts {
			next[stateOf(state)] = append(next[stateOf(state)], stateOf(b.Evolve(state, event.Message{Body: then})))
		}
	}
	for from := range next {
		next[from] = slices.Compact(next[from])
	}
	slices.Sort(published)
	for what, diff := range map[string]string{
		"where facts lead":         cmp.Diff(c.Evolve(Name), leads),
		"which state follows":      cmp.Diff(c.Next(Name), next),
		"what it publishes":        cmp.Diff(c.Published(Name), published),
		"which states are final":   cmp.Diff(c.FinalStates(Name), []string{told}),
		"that nothing waits in it": cmp.Diff(len(c.Deadlines(Name)), 0),
	} {
		if diff != "" {
			t.Errorf("%s (-choreography +code):\n%s", what, diff)
		}
	}

	after := domain.Notices{Email: "ada@example.com"}
	for _, m := range []event.Message{confirmed(), cancelled(orderv1.CancellationReason_CANCELLATION_REASON_CUSTOMER), refunded()} {
		answers := map[string]bool{}
		for _, answer := range []error{nil, &Refused{Reason: "no"}} {
			fact, err := Behavior(&fakeMailer{err: answer}, giveUpAfter).React(t.Context(), after, m)
			if err != nil {
				t.Fatal(err)
			}
			answers[event.TypeOf(fact)] = true
		}
		want := slices.Sorted(slices.Values(c.Answers(Name, m.Type)))
		if got := slices.Sorted(maps.Keys(answers)); !slices.Equal(got, want) {
			t.Errorf("%s is answered with %q, by the choreography with %q", m.Type, got, want)
		}
	}
}
