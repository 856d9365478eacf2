package cli

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/troupe-dev/troupe/services/troupe/internal/terminal"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

// maxReasons bounds the reasons that are drawn.
const maxReasons = 100

// number is a word with a digit: an id, an amount, a time. Messages that differ in nothing else are one reason.
var number = regexp.MustCompile(`[\pL\d_-]*\d[\pL\d_-]*`)

// dryRun is what a bulk operation would do, with the heads counted by why they failed.
type dryRun struct {
	Action     string       `json:"action"`
	Orders     int          `json:"orders"`
	PassedOver int          `json:"passed_over"`
	Reasons    []causeCount `json:"reasons"`
}

type causeCount struct {
	cause
	Orders int `json:"orders"`
}

type cause struct {
	Participant string `json:"participant"`
	Class       string `json:"class"`
	Type        string `json:"type"`
	Message     string `json:"message"`
}

func newDryRun(action string, heads []rest.Letter, passedOver int) dryRun {
	found := map[cause]int{}
	for _, l := range heads {
		found[cause{l.Participant, l.Class, l.Type, number.ReplaceAllString(l.Message, "…")}]++
	}
	d := dryRun{Action: action, Orders: len(heads), PassedOver: passedOver, Reasons: []causeCount{}}
	for _, r := range slices.SortedFunc(maps.Keys(found), func(a, b cause) int {
		return cmp.Or(found[b]-found[a], cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)))
	}) {
		d.Reasons = append(d.Reasons, causeCount{r, found[r]})
	}
	d.Reasons = d.Reasons[:min(len(d.Reasons), maxReasons)]
	return d
}

func (p *printer) printDryRun(d dryRun) {
	if p.json {
		p.value(d)
		return
	}
	p.drawReasons(d)
	p.f("To do it, leave --dry-run out.\n")
}

// drawReasons says what would be done, and draws how often each reason is there.
func (p *printer) drawReasons(d dryRun) {
	if d.Action == "discard" {
		p.f("would discard the first event of %s, for good", count(d.Orders, "order", "orders"))
	} else {
		p.f("would redrive %s", count(d.Orders, "order", "orders"))
	}
	if d.PassedOver > 0 {
		p.f("; %s whose first event failed five redrives would be passed over without --force",
			count(d.PassedOver, "order", "orders"))
	}
	p.f("\n")
	for _, r := range d.Reasons {
		bar := strings.Repeat("█", max(1, 20*r.Orders/d.Reasons[0].Orders))
		p.f("%7d  %s%s  %s\n", r.Orders, p.style.Paint(terminal.Yellow, bar), strings.Repeat(" ", 20-len([]rune(bar))),
			p.style.Paint(terminal.Bold, groupName(r.Participant, r.Class, r.Type)))
		p.f("%s%s\n", strings.Repeat(" ", 31), terminal.Cut(r.Message, 100))
	}
}
