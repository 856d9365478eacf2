package choreography

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAccess(t *testing.T) {
	c, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	want := Access{
		Own:   []string{"payment.activity.v1", "payment.dead-letters.v1", "payment.events.v1", "payment.redrive.v1"},
		Read:  []string{"order.events.v1", "payment.dead-letters.v1", "payment.events.v1", "payment.redrive.v1"},
		Write: []string{"payment.activity.v1", "payment.dead-letters.v1", "payment.events.v1"},
		Group: "payment",
	}
	if diff := cmp.Diff(want, c.AccessOf("payment")); diff != "" {
		t.Errorf("payment (-want +got):\n%s", diff)
	}
	console, query := c.AccessOf("console"), c.AccessOf("query")
	if diff := cmp.Diff([]string{"notification.redrive.v1", "order.redrive.v1", "payment.redrive.v1"}, console.Write); diff != "" {
		t.Errorf("what operators write (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"notification", "order", "payment", "query"}, console.Watched); diff != "" {
		t.Errorf("groups that operators look at (-want +got):\n%s", diff)
	}
	if len(console.Own) > 0 || len(console.Read) != 12 || len(console.Checked) != 6 {
		t.Errorf("console: %+v", console)
	}
	if len(query.Own) > 0 || len(query.Read) != 9 || len(query.Checked) != 6 {
		t.Errorf("query: %+v", query)
	}
	if len(query.Write) > 0 || len(query.Watched) > 0 {
		t.Errorf("a reader without operators writes: %+v", query)
	}
}
