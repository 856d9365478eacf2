package web

import (
	"slices"
)

// picture is a story as lifelines and arrows, in units of the SVG's viewBox.
type picture struct {
	Width, Height int
	Lines         []lifeline
	Arrows        []arrow
	Waits         []parking
	Folds         []fold
}

type lifeline struct {
	Name string
	X    int
}

// arrow goes from where the cause was to where the event happened.
type arrow struct {
	told
	X1, Y1, X2, Y2 int
	Kind           string // class of the arrow: who published it, and what is special
	LabelX         int
	Anchor         string // of the label, as SVG calls it
}

// parking is a time parked: from a letter to its outcome, or to the end of the picture; or held: from the hold to the answer.
type parking struct{ X, Y1, Y2 int }

// fold is where a fact came into the read model: everything that is shown has, since the story begins there.
type fold struct{ X1, X2, Y int }

const (
	pictureTop  = 52
	pictureStep = 44
	pictureLeft = 80
	lineGap     = 220
)

var lines = []string{"customer", "order", "payment", "notification", readModel}

const readModel = "read model"

func lineOf(participant string) int {
	return pictureLeft + lineGap*max(0, slices.Index(lines, participant))
}

// draw lays out the events in their order, one a row.
func draw(events []told) picture {
	p := picture{Width: 2*pictureLeft + lineGap*(len(lines)-1) + 120, Height: pictureTop + pictureStep*len(events) + 12}
	for _, l := range lines {
		p.Lines = append(p.Lines, lifeline{l, lineOf(l)})
	}
	row := func(n int) int { return pictureTop + pictureStep*(n-1) + 16 }
	since := map[string]int{} // row of the letter that a participant waits with
	held := map[string]int{}  // row of the first hold, by participant and event
	for _, e := range events {
		a := arrow{told: e, X1: lineOf("customer"), Y1: row(e.N), X2: lineOf(e.Source), Y2: row(e.N), Kind: e.Source}
		if e.Cause > 0 {
			a.X1, a.Y1 = lineOf(events[e.Cause-1].Source), row(e.Cause)
		}
		if from := held[e.Source+e.CausationID]; from > 0 && e.Kind == "event" {
			p.Waits = append(p.Waits, parking{a.X2, from, a.Y2})
		}
		switch {
		case exceptional(e.Kind):
			a.Kind = "exception " + e.Kind
			if e.Cause == 0 { // a deadline, or what retention has taken
				a.X1, a.Y1 = a.X2, a.Y2
			}
			if key := e.Source + e.CausationID; e.Kind == "held" && held[key] == 0 {
				held[key] = a.Y2
			}
		case e.Kind == "dead_letter":
			a.Kind = "letter"
			if since[e.Source] == 0 {
				since[e.Source] = a.Y2
			}
		case e.Kind != "event":
			a.Kind = "outcome"
			a.X1, a.Y1 = a.X2, a.Y2
			if from := since[e.Source]; from > 0 && e.Kind != "failed" {
				p.Waits = append(p.Waits, parking{a.X2, from, a.Y2})
				delete(since, e.Source)
			}
		default:
			p.Folds = append(p.Folds, fold{a.X2, lineOf(readModel), a.Y2})
			if e.Name == "PaymentRefunded" || e.Name == "OrderCancelled" {
				a.Kind += " compensation"
			}
		}
		// Labels stand above the row, since what an event causes leads down; what comes down from the right leaves the
		// left side free.
		a.LabelX, a.Anchor = a.X2+12, "start"
		if a.X1 > a.X2 || a.X1 < a.X2 && a.Y1 == a.Y2 {
			a.LabelX, a.Anchor = a.X2-12, "end"
		}
		p.Arrows = append(p.Arrows, a)
	}
	for source, from := range since {
		p.Waits = append(p.Waits, parking{lineOf(source), from, p.Height - 4})
	}
	return p
}

// exceptional says whether something happened to an event that is neither a fact nor a dead letter's.
func exceptional(kind string) bool {
	return slices.Contains([]string{"retried", "deduplicated", "held", "parked"}, kind)
}
