package choreography

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/troupe-dev/troupe/schemas"
)

func load(t *testing.T) *Choreography {
	t.Helper()
	c, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestParseRefuses(t *testing.T) {
	for _, tc := range []struct{ name, old, new, want string }{
		{"an unknown field, with its line", "    topic: payment.events.v1\n", "    topic: payment.events.v1\n    topics: x\n", "line 35"},
		{"an unknown field, with its name", "    topic: payment.events.v1\n", "    topic: payment.events.v1\n    topics: x\n", "topics"},
		{"a repeated field", "    topic: payment.events.v1\n", "    topic: payment.events.v1\n    topic: payment.events.v1\n", `"topic"`},
		{"another version", "version: 1", "version: 2", "version: must be 1, is 2"},
		{"no partitions", "partitions: 12", "partitions: 0", "partitions: must be positive, is 0"},
		{"no package", "package: troupe", "package: ''", "package: must match"},
		{"another's topic", "topic: payment.events.v1", "topic: order.events.v1", "participants.payment.topic: must be payment.events.vN"},
		{"an event in lower case", "effects: [NotificationSent]", "doors: { mail: { kind: request, from: x } }", `event "mail" must match`},
		{"a door of no kind", "kind: request", "kind: wish", "participants.order.doors.OrderCancellationRequested.kind: must be fact or request"},
		{"a fact said twice", "facts: [NotificationSent, ", "facts: [NotificationSent, NotificationSent, ", "participants.notification.facts: must not repeat"},
		{"a participant named deadline", "  notification:\n    topic: notification.", "  deadline:\n    topic: deadline.", "participants.deadline: the name must"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Parse(strings.NewReader(replaceOnce(t, string(schemas.Choreography), tc.old, tc.new)))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want it to say %q", err, tc.want)
			}
		})
	}
	for _, text := range []string{"", "[]", "version: 1\n---\nversion: 1\n", "participants: {"} {
		if _, err := Parse(strings.NewReader(text)); err == nil {
			t.Errorf("%q is taken for a choreography", text)
		}
	}
}

func TestNamesAreThoseOnTheWire(t *testing.T) {
	c := load(t)
	same := func(what string, got, want any) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	same("topics", c.Topics(), []string{"notification.events.v1", "order.events.v1", "payment.events.v1"})
	same("order hears", c.Subscriptions("order"), map[string][]string{
		"order.events.v1":   {"troupe.order.v1.OrderCancellationRequested"},
		"payment.events.v1": {"troupe.payment.v1.PaymentDeclined", "troupe.payment.v1.PaymentSucceeded"},
	})
	same("query hears", c.Subscriptions("query")["payment.events.v1"], []string{
		"troupe.payment.v1.PaymentDeclined", "troupe.payment.v1.PaymentRefunded", "troupe.payment.v1.PaymentSucceeded",
	})
	same("nobody hears", c.Subscriptions("nobody"), map[string][]string{})
	same("payment answers", c.Answers("payment", "troupe.order.v1.OrderPlaced"),
		[]string{"troupe.payment.v1.PaymentSucceeded", "troupe.payment.v1.PaymentDeclined"})
	same("order answers the deadline", c.Answers("order", "deadline.payment_deadline"), []string{"troupe.order.v1.OrderCancelled"})
	same("payment does not hear", c.Answers("payment", "troupe.order.v1.OrderConfirmed"), []string(nil))
	same("deadlines", c.Deadlines("order"), []string{"deadline.payment_deadline"})
	same("final states", c.FinalStates("order"), []string{"cancelled", "confirmed"})
	same("next", c.Next("order")["placed"], []string{"confirmed", "cancelled"})
	same("evolve", c.Evolve("notification")["troupe.notification.v1.NotificationSent"], "told")
	same("published", c.Published("order"), []string{
		"troupe.order.v1.OrderCancellationRequested", "troupe.order.v1.OrderCancelled", "troupe.order.v1.OrderConfirmed", "troupe.order.v1.OrderPlaced",
	})
	same("number of types", len(c.Types()), 9)
	same("number of edges", len(c.Edges()), 13)
}
