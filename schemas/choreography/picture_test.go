package choreography

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPictureShowsEveryEdge(t *testing.T) {
	c := load(t)
	picture := c.Picture()
	for _, want := range []string{
		"```mermaid\nflowchart LR\n",
		"  subgraph payment\n    PaymentSucceeded[PaymentSucceeded]\n",
		"    OrderCancellationRequested([OrderCancellationRequested])\n",
		"    order_payment_deadline{{payment deadline}}\n",
		"  customer((customer)) --> OrderPlaced\n",
		"  order_payment_deadline --> OrderCancelled\n",
		"  OrderCancelled -. undoes .-> PaymentRefunded\n",
		"  payment -.-> query\n",
	} {
		if !strings.Contains(picture, want) {
			t.Errorf("the picture does not have %q:\n%s", want, picture)
		}
	}
	for _, e := range c.Edges() {
		from, to := "\n  "+node(e.Participant, e.Cause)+" -", "> "+shortName(e.Fact)+"\n"
		if _, rest, ok := strings.Cut(picture, from+"-"+to); !ok && !strings.Contains(picture, from+". undoes .-"+to) || strings.Contains(rest, from+"-"+to) {
			t.Errorf("not one arrow leads from %s to %s", e.Cause, e.Fact)
		}
	}
	if again := load(t).Picture(); again != picture {
		t.Error("the picture is not the same twice")
	}
}

func TestRedrawChangesOnlyThePicture(t *testing.T) {
	c := load(t)
	const before, after = "# Title\n<!-- choreography:begin -->\n", "<!-- choreography:end -->\nThe end.\n"
	got, ok := c.Redraw(before + "an old picture\n" + after)
	if diff := cmp.Diff(before+c.Picture()+after, got); diff != "" || !ok {
		t.Errorf("redrawn: %v (-want +got):\n%s", ok, diff)
	}
	for _, document := range []string{"", before, after, after + before, before + after + before + after} {
		if got, ok := c.Redraw(document); ok || got != document {
			t.Errorf("%q is redrawn", document)
		}
	}
}

func TestREADMEShowsThisPicture(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	redrawn, ok := load(t).Redraw(string(readme))
	if !ok {
		t.Fatal("README.md has no place for the picture")
	}
	if redrawn != string(readme) {
		t.Error("the picture in README.md is old: go run ./schemas/choreography/cmd/picture -write README.md")
	}
}
