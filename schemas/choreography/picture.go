package choreography

import (
	"fmt"
	"slices"
	"strings"
)

// Where the picture stands in a document.
const (
	pictureBegin = "<!-- choreography:begin -->"
	pictureEnd   = "<!-- choreography:end -->"
)

// Picture draws the choreography as a Mermaid flowchart, in its Markdown fence: a box per participant, an arrow from each cause to
// each fact that may answer it, dotted where the answer undoes something. It is the same for the same choreography.
func (c *Choreography) Picture() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("```mermaid")
	line("flowchart LR")
	for _, name := range sorted(c.Participants) {
		p := c.Participants[name]
		line("  subgraph %s", name)
		for _, event := range p.events() {
			line("    %s%s", event, shape(p, event))
		}
		for _, ref := range c.Deadlines(name) {
			line("    %s{{%s}}", node(name, ref), strings.ReplaceAll(strings.TrimPrefix(ref, deadline+"."), "_", " "))
		}
		line("  end")
	}
	for _, name := range sorted(c.Participants) {
		for _, event := range sorted(c.Participants[name].Doors) {
			line("  %s((%s)) --> %s", c.Participants[name].Doors[event].From, c.Participants[name].Doors[event].From, event)
		}
	}
	for _, e := range c.Edges() {
		arrow := "-->"
		if c.undoes(e) {
			arrow = "-. undoes .->"
		}
		line("  %s %s %s", node(e.Participant, e.Cause), arrow, shortName(e.Fact))
	}
	for _, name := range sorted(c.Readers) {
		if len(c.Readers[name].Listens) == 0 {
			continue // it folds no events
		}
		line("  %s[(%s)]", name, name)
		for _, topic := range c.Readers[name].Listens {
			if writer, ok := c.writer(topic); ok {
				line("  %s -.-> %s", writer, name)
			}
		}
	}
	line("```")
	return b.String()
}

// shape is a box for a fact and a rounded one for a request.
func shape(p Participant, event string) string {
	if slices.Contains(p.Facts, event) {
		return "[" + event + "]"
	}
	return "([" + event + "])"
}

// node names an event or a participant's deadline in the picture.
func node(participant, cause string) string {
	if name, ok := strings.CutPrefix(cause, deadline+"."); ok {
		return participant + "_" + name
	}
	return shortName(cause)
}

func (c *Choreography) undoes(e Edge) bool {
	for _, by := range c.Participants[e.Participant].Compensations {
		if by.By == shortName(e.Fact) && c.fullCause(by.On) == e.Cause {
			return true
		}
	}
	return false
}

// Redraw puts the picture between the two marker lines of a document. ok is false when the document does not have both, in order,
// once each; it is then returned as it is.
func (c *Choreography) Redraw(document string) (redrawn string, ok bool) {
	before, rest, begun := strings.Cut(document, pictureBegin)
	_, after, ended := strings.Cut(rest, pictureEnd)
	if !begun || !ended || strings.Contains(after, pictureBegin) || strings.Contains(after, pictureEnd) {
		return document, false
	}
	return before + pictureBegin + "\n" + c.Picture() + pictureEnd + after, true
}
