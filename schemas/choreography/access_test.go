package choreography

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAccess(t *testing.T) {
	c, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	want := Access{
		Checked: []string{"payment.activity.v1", "payment.dead-letters.v1", "payment.events.v1", "payment.redrive.v1"},
		Read:    []string{"order.events.v1", "payment.dead-letters.v1", "payment.events.v1", "payment.redrive.v1"},
		Write:   []string{"payment.activity.v1", "payment.dead-letters.v1", "payment.events.v1"},
		Group:   "payment",
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
	if len(console.Read) != 10 || !slices.Contains(console.Read, "statistics.v1") || len(console.Checked) != 6 {
		t.Errorf("console: %+v", console)
	}
	if len(query.Read) != 9 || len(query.Checked) != 6 {
		t.Errorf("query: %+v", query)
	}
	if len(query.Write) > 0 || len(query.Watched) > 0 {
		t.Errorf("a reader without operators writes: %+v", query)
	}
}

// The protocol rests on it: a topic of facts, letters or activity has one writer, and nobody but the provisioner creates.
func TestNobodyWritesWhatIsAnothers(t *testing.T) {
	c, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	writers := map[string][]string{}
	for _, g := range c.Grants() {
		if strings.ContainsAny(g.Name, "*?") || g.Name == "" {
			t.Errorf("%+v names no one resource", g)
		}
		switch {
		case g.Operation == "Write":
			writers[g.Name] = append(writers[g.Name], g.Principal)
		case g.Operation == "Create" && g.Principal != Provisioner:
			t.Errorf("%s may create %s", g.Principal, g.Name)
		case g.Kind == "group" && g.Operation == "Read" && g.Name != g.Principal:
			t.Errorf("%s may join the group %s", g.Principal, g.Name)
		}
	}
	var operators []string
	for name, r := range c.Readers {
		if r.Operates {
			operators = append(operators, name)
		}
	}
	for name := range c.Participants {
		for _, own := range c.OwnTopics(name, 0) {
			want := []string{name}
			if own.Name == redriveTopic(name) {
				want = operators
			}
			if diff := cmp.Diff(want, writers[own.Name]); diff != "" {
				t.Errorf("writers of %s (-want +got):\n%s", own.Name, diff)
			}
			delete(writers, own.Name)
		}
	}
	if len(writers) > 0 {
		t.Errorf("more is written: %v", writers)
	}
}
