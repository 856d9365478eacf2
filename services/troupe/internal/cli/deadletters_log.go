package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/troupe-dev/troupe/services/troupe/internal/terminal"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

func lettersLogCommand() *cobra.Command {
	var d consoleAPI
	var f rest.LetterFilter
	var p rest.Paging
	cmd := &cobra.Command{
		Use: "log", Short: "Who did what to dead letters, when and why, and what became of it; the newest first", Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return d.with(cmd, false, func(ctx context.Context, o operator) error {
				page, err := o.Log(ctx, f, p)
				if err != nil {
					return err
				}
				if o.json {
					return printJSON(o.out, page.Raw)
				}
				out := printer{out: o.out}
				for _, e := range page.Entries {
					out.f("%s  %s\n    %s\n", e.At.Local().Format("2006-01-02 15:04:05"),
						o.style.Paint(terminal.Bold, chainName{e.Participant, e.OrderID}.String()), o.said(e))
				}
				if len(page.Entries) == 0 {
					out.f("nobody did anything\n")
				}
				if page.NextPageToken != "" {
					out.f("more: troupe dead-letters log --page-token %s, with the same flags\n", terminal.Clean(page.NextPageToken))
				}
				return out.err
			})
		},
	}
	d.flags(cmd)
	cmd.Flags().StringVar(&f.Participant, "participant", "", "only what this service parked")
	cmd.Flags().StringVar(&f.OrderID, "order", "", "only of this order")
	paging(cmd, &p)
	return cmd
}

// entry is one line of the audit trail of a chain that is known.
func (o operator) entry(e rest.LogEntry) string {
	return e.At.Local().Format("2006-01-02 15:04:05") + "  " + o.said(e)
}

func (o operator) said(e rest.LogEntry) string {
	letter := terminal.Clean(e.LetterID)
	switch e.Kind {
	case "request":
		text := o.style.Paint(terminal.Cyan, terminal.Clean(e.By)) + " asked to " + terminal.Clean(e.Action)
		if letter != "" {
			text += " " + letter
		}
		if e.Reason != "" {
			text += ": " + terminal.Cut(e.Reason, 200)
		}
		return text + o.style.Paint(terminal.Dim, "  request "+terminal.Clean(e.RequestID))
	case "redriven":
		return letter + o.style.Paint(terminal.Green, " came back")
	case "failed":
		return fmt.Sprintf("%s %s, %s: %s", letter, o.style.Paint(terminal.Red, "failed again"), terminal.Clean(e.Class), terminal.Cut(e.Message, 200)) +
			redrives(e.Redrives)
	case "closed":
		text := fmt.Sprintf("done: %d came back, %d still waiting", e.Redriven, e.Waiting)
		if e.Message != "" {
			text += "; " + terminal.Cut(e.Message, 200)
		}
		return text
	}
	return letter + " " + terminal.Clean(e.Kind)
}
