package httpapi

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"

	"github.com/troupe-dev/troupe/services/console/internal/letters"
)

const maxReasons = 100

// number is a word with a digit: an id, an amount, a time.
var number = regexp.MustCompile(`[\pL\d_-]*\d[\pL\d_-]*`)

// dryRun says what a job would do.
func (d door) dryRun(ctx context.Context, b bulk) (DryRun, error) {
	type reason struct{ participant, class, typ, message string }
	run := DryRun{Reasons: []ReasonCount{}}
	found := map[reason]*ReasonCount{}
	most := int64(-1)
	if b.limit > 0 {
		most = b.limit
	}
	err := d.each(ctx, b.filter, most, func(c letters.Chain) error {
		head := c.Head()
		if head == nil || b.wish.refused(c) != nil {
			run.PassedOver++
			return nil
		}
		r := reason{c.Participant, head.Class, head.Type, number.ReplaceAllString(head.Message, "…")}
		if found[r] == nil {
			found[r] = &ReasonCount{Participant: r.participant, Class: r.class, Type: r.typ, Message: r.message}
		}
		letters := int64(len(c.Letters))
		if b.wish.discards() {
			letters = 1
		}
		found[r].Orders++
		found[r].Letters += letters
		run.Orders++
		run.Letters += letters
		return nil
	})
	for _, r := range found {
		run.Reasons = append(run.Reasons, *r)
	}
	slices.SortFunc(run.Reasons, func(a, b ReasonCount) int {
		return cmp.Or(cmp.Compare(b.Orders, a.Orders), cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)))
	})
	run.Reasons = run.Reasons[:min(len(run.Reasons), maxReasons)]
	return run, err
}
