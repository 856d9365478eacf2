package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/troupe-dev/troupe/services/troupe/internal/terminal"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

// manyOrders is how many chains are shown one by one when nobody asked for groups.
const manyOrders = 20

// letterFilter are the flags that choose chains.
func letterFilter(cmd *cobra.Command, f *rest.LetterFilter) {
	cmd.Flags().StringVar(&f.Participant, "participant", "", "only what this service parked")
	cmd.Flags().StringVar(&f.Class, "class", "", "only what failed so: invalid, not_found, conflict, permanent, transient, not_yet, deferred")
	cmd.Flags().StringVar(&f.Type, "type", "", "only chains with an event of this type at their head, such as OrderPlaced")
	cmd.Flags().StringVar(&f.OrderID, "order", "", "only of this order")
}

func lettersListCommand() *cobra.Command {
	var d consoleAPI
	var f rest.LetterFilter
	var p rest.Paging
	var groups, orders bool
	cmd := &cobra.Command{
		Use: "list", Short: "What is stuck: orders, the longest waiting first, or groups of them", Args: none,
		Long: `Lists the orders that wait behind a dead letter, the longest waiting first, each by the head of its chain: what must be put
right first. When more than 20 wait and no flag chooses among them, it lists groups by participant, class and event type instead.
With --json it does so only with --groups.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if groups && (orders || p != rest.Paging{}) {
				return usageError{errors.New("--groups does not go with --orders, --page-size and --page-token")}
			}
			return d.with(cmd, false, func(ctx context.Context, o operator) error {
				one := orders || p != rest.Paging{} || f != rest.LetterFilter{}
				if groups || !one && !o.json {
					g, err := o.Groups(ctx, f)
					if err != nil {
						return err
					}
					if groups || g.Orders > manyOrders {
						o.printGroups(g)
						return nil
					}
				}
				page, err := o.Letters(ctx, f, p)
				if err == nil {
					o.printLetters(page)
				}
				return err
			})
		},
	}
	d.flags(cmd)
	letterFilter(cmd, &f)
	pageFlags(cmd, &p)
	cmd.Flags().BoolVar(&groups, "groups", false, "groups, however few wait")
	cmd.Flags().BoolVar(&orders, "orders", false, "orders, however many wait")
	return cmd
}

func (p *printer) printGroups(g rest.Groups) {
	switch {
	case p.json:
		p.document(g.Raw)
		return
	case len(g.Groups) == 0:
		p.f("nothing is parked\n")
		return
	}
	p.f("%s\n", p.style.Paint(terminal.Dim, " orders  letters   oldest  participant/class/type and the newest reason"))
	for _, r := range g.Groups {
		p.f("%7d  %7d  %7s  %s\n%s%s\n", r.Orders, r.Letters, ago(r.Oldest), p.style.Paint(terminal.Bold, groupName(r.Participant, r.Class, r.Type)),
			"                            ", terminal.Cut(r.Message, 100))
	}
	p.f("\n%s in %s, %s in all. Look into the first, then see what a redrive would take:\n",
		count(g.Orders, "order waits", "orders wait"), count(len(g.Groups), "group", "groups"), count(g.Letters, "letter", "letters"))
	first := g.Groups[0]
	p.f("  troupe dead-letters list --participant %s --class %s%s\n", terminal.Clean(first.Participant), terminal.Clean(first.Class), typeFlag(first.Type))
	p.f("  troupe dead-letters redrive --group %s --dry-run\n", groupName(first.Participant, first.Class, first.Type))
}

// groupName is what --group takes.
func groupName(participant, class, eventType string) string {
	name := terminal.Clean(participant + "/" + class)
	if eventType != "" {
		name += "/" + short(eventType)
	}
	return name
}

func typeFlag(eventType string) string {
	if eventType == "" {
		return ""
	}
	return " --type " + short(eventType)
}

func (p *printer) printLetters(page rest.LetterPage) {
	switch {
	case p.json:
		p.document(page.Raw)
		return
	case len(page.Letters) == 0:
		p.f("nothing is parked, or nothing that was asked for\n")
		return
	}
	for _, l := range page.Letters {
		p.f("%s  %s  %s, waits %s%s\n    %s\n", p.style.Paint(terminal.Bold, nameOf(l).String()), short(l.Type),
			p.style.Paint(terminal.Yellow, terminal.Clean(l.Class)), ago(l.FirstFailure), redrives(l.Redrives)+retry(l.RetryAt), terminal.Cut(l.Message, 110))
	}
	p.more("dead-letters list", page.NextPageToken, ", with the same flags")
	first := nameOf(page.Letters[0])
	p.f("\nWhy, and what stands behind it:  troupe dead-letters show %s\nAfter a fix:                     troupe dead-letters redrive %s\n", first, first)
}

// retry says when the participant tries a letter again by itself.
func retry(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return ", next try at " + at.Local().Format("15:04:05")
}

func redrives(n int) string {
	if n == 0 {
		return ""
	}
	return ", " + count(n, "redrive failed", "redrives failed")
}
