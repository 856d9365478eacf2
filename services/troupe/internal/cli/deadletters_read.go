package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

// readWithin bounds a command that only reads.
const readWithin = 30 * time.Second

func lettersListCommand() *cobra.Command {
	var d consoleAPI
	var f rest.LetterFilter
	var p rest.Paging
	var groups bool
	cmd := &cobra.Command{
		Use: "list [ORDER]", Short: "What is stuck: orders, the longest waiting first, or groups of them", Args: cobra.MaximumNArgs(1),
		Long: `Lists the orders that wait behind a dead letter, the longest waiting first, each by the head of its chain: what must be put
right first. With --groups it counts them by participant, class and event type instead.`,
		RunE: d.run(func(ctx context.Context, o operator, args []string) error {
			if err := narrow(&f, args); err != nil {
				return err
			}
			if groups {
				return o.groups(ctx, f)
			}
			page, err := o.Letters(ctx, f, p)
			if err != nil {
				return err
			}
			return o.printLetters(page)
		}),
	}
	d.flags(cmd, readWithin)
	filterFlags(cmd, &f)
	pageFlags(cmd, &p.Size, &p.Token)
	cmd.Flags().BoolVar(&groups, "groups", false, "count by cause")
	cmd.MarkFlagsMutuallyExclusive("groups", "page-size")
	cmd.MarkFlagsMutuallyExclusive("groups", "page-token")
	return cmd
}

func (o operator) printLetters(page rest.LetterPage) error {
	head := "PARTICIPANT/ORDER\tTYPE\tCLASS\tWAITS SINCE\tREDRIVES\tNEXT TRY\tWHY"
	return table(o.printer, page, page.NextPageToken, head, page.Letters, func(l rest.Letter) []any {
		return []any{nameOf(l), short(l.Type), l.Class, when(l.FirstFailure), l.Redrives, when(l.RetryAt), l.Message}
	})
}

func (o operator) groups(ctx context.Context, f rest.LetterFilter) error {
	g, err := o.Groups(ctx, f)
	if err != nil {
		return err
	}
	head := "ORDERS\tLETTERS\tPARTICIPANT\tCLASS\tTYPE\tOLDEST\tTHE NEWEST'S WHY"
	return table(o.printer, g, "", head, g.Groups, func(g rest.Group) []any {
		return []any{g.Orders, g.Letters, g.Participant, g.Class, short(g.Type), when(g.Oldest), g.Message}
	})
}

func lettersShowCommand() *cobra.Command {
	var d consoleAPI
	var p rest.Paging
	cmd := &cobra.Command{
		Use: "show ORDER", Short: "Why an order waits, what stands behind it, and what was done so far", Args: cobra.ExactArgs(1),
		Long: `Shows the chain of one order at one participant, first in, first out: each event with its error, headers, payload and place,
then who did what about it. Payloads are shown as they are, private ones too. The order's story: troupe show ORDER.`,
		RunE: d.run(func(ctx context.Context, o operator, args []string) error {
			head, err := o.head(ctx, args)
			if err != nil {
				return err
			}
			chain, err := o.Chain(ctx, head.Participant, head.OrderID, p)
			if err != nil {
				return err
			}
			for i := range chain.Letters {
				if l := &chain.Letters[i]; !o.json && l.PayloadError == "" {
					l.Raw = nil // the payload says the same
				}
			}
			return o.document(chain)
		}),
	}
	d.flags(cmd, readWithin)
	pageFlags(cmd, &p.Size, &p.Token)
	return cmd
}

func lettersLogCommand() *cobra.Command {
	var d consoleAPI
	var f rest.LetterFilter
	var p rest.Paging
	cmd := &cobra.Command{
		Use: "log [ORDER]", Short: "Who did what to dead letters, when and why, and what became of it; the newest first", Args: cobra.MaximumNArgs(1),
		RunE: d.run(func(ctx context.Context, o operator, args []string) error {
			if err := narrow(&f, args); err != nil {
				return err
			}
			page, err := o.Log(ctx, f, p)
			if err != nil {
				return err
			}
			head := "AT\tPARTICIPANT/ORDER\tWHAT\tACTION\tBY\tLETTER\tWHY"
			return table(o.printer, page, page.NextPageToken, head, page.Entries, func(e rest.LogEntry) []any {
				why := e.Class + " " + e.Reason + e.Message
				if e.Kind == "closed" {
					why = fmt.Sprintf("%d came back, %d wait. %s", e.Redriven, e.Waiting, e.Message)
				}
				return []any{when(e.At), e.Participant + "/" + e.OrderID, e.Kind, e.Action, e.By, e.LetterID, why}
			})
		}),
	}
	d.flags(cmd, readWithin)
	cmd.Flags().StringVar(&f.Participant, "participant", "", "only what this service parked")
	pageFlags(cmd, &p.Size, &p.Token)
	return cmd
}
