package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/services/troupe/resend"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

// tells waits until an order's story tells of a kind of exception at a participant.
func (p *playground) tells(t *testing.T, id, kind, participant string) {
	t.Helper()
	eventually(t, 30*time.Second, participant+" tells: "+kind, func() error {
		s, err := p.orders.Story(t.Context(), id)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(s.Events, func(e rest.Event) bool { return e.Kind == kind && e.Participant == participant }) {
			return fmt.Errorf("it is not among %d events", len(s.Events))
		}
		return nil
	})
}

// A gateway that is out makes payment try again, and copies of all records come to everybody: the story says so, and the order is as if
// nothing had been.
func TestStoryTellsRetriesAndDuplicates(t *testing.T) {
	p := start(t)
	p.gateway(t, `{"outage":true}`)
	id := p.place(t)
	p.tells(t, id, "retried", "payment")
	p.gateway(t, `{}`)
	if o := p.settled(t, id); o.Status != "confirmed" || len(o.Notifications) != 1 {
		t.Errorf("the order is %s with %d mails", o.Status, len(o.Notifications))
	}
	twice, err := resend.Start(t.Context(), p.Kafka, []string{"order.events.v1", "payment.events.v1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, participant := range []string{"order", "payment", "notification"} {
		p.tells(t, id, "deduplicated", participant)
	}
	if err := twice.Close(); err != nil {
		t.Fatal(err)
	}
	out, code := p.troupe(t, "show", id)
	for _, says := range []string{"retried", "unavailable: attempt 1", "deduplicated", "answered: came again at order.events.v1/"} {
		if code != 0 || !strings.Contains(out, says) {
			t.Errorf("exit code %d, does not say %q\n%s", code, says, out)
		}
	}
}
