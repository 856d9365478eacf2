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
		RunE: d.run(func(ctx context.Context, o operator, _ []string) error {
			page, err := o.Log(ctx, f, p)
			if err != nil {
				return err
			}
			if o.json {
				o.document(page.Raw)
				return nil
			}
			for _, e := range page.Entries {
				o.f("%s  %s\n    %s\n", e.At.Local().Format("2006-01-02 15:04:05"),
					o.style.Paint(terminal.Bold, chainName{e.Participant, e.OrderID}.String()), o.said(e))
			}
			if len(page.Entries) == 0 {
				o.f("nobody did anything\n")
			}
			o.more("dead-letters log", page.NextPageToken, ", with the same flags")
			return nil
		}),
	}
	d.flags(cmd)
	cmd.Flags().StringVar(&f.Participant, "participant", "", "only what this service parked")
	cmd.Flags().StringVar(&f.OrderID, "order", "", "only of this order")
	pageFlags(cmd, &p)
	return cmd
}

func (p *printer) said(e rest.LogEntry) string {
	letter := terminal.Clean(e.LetterID)
	switch e.Kind {
	case "request":
		text := p.style.Paint(terminal.Cyan, terminal.Clean(e.By)) + " asked to " + terminal.Clean(e.Action)
		if letter != "" {
			text += " " + letter
		}
		if e.Reason != "" {
			text += ": " + terminal.Cut(e.Reason, 200)
		}
		return text + p.style.Paint(terminal.Dim, "  request "+terminal.Clean(e.RequestID))
	case "redriven":
		return letter + p.style.Paint(terminal.Green, " came back")
	case "failed":
		return fmt.Sprintf("%s %s, %s: %s", letter, p.style.Paint(terminal.Red, "failed again"), terminal.Clean(e.Class), terminal.Cut(e.Message, 200)) +
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
