package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/troupe-dev/troupe/services/troupe/internal/narrate"
	"github.com/troupe-dev/troupe/services/troupe/internal/terminal"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

func showCommand() *cobra.Command {
	var d ordersAPI
	var token string
	cmd := &cobra.Command{
		Use: "show ORDER", Short: "Show an order and its story", Args: cobra.ExactArgs(1),
		RunE: d.run(func(ctx context.Context, c customer, args []string) error {
			o, err := c.Order(ctx, args[0], rest.Read{Token: token})
			if err == nil {
				err = c.document(o)
			}
			if err != nil || c.json {
				return err
			}
			s, err := c.Story(ctx, args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.out)
			for _, e := range s.Events {
				_, err = io.WriteString(c.out, narrate.Line(terminal.StyleOf(c.out), e, s.Events[0].Time))
			}
			return err
		}),
	}
	d.flags(cmd)
	cmd.Flags().StringVar(&token, "token", "", "consistency token of a write that must be visible")
	return cmd
}

// outcome is the state of an order in a few words.
func outcome(o rest.Order) string {
	text := o.Status
	if o.Status == "cancelled" && o.Cancellation != nil && o.Cancellation.Reason != "" {
		text += " (" + o.Cancellation.Reason + ")"
	}
	if o.Settled {
		text += fmt.Sprintf(", settled after %d ms", o.SettledAt.Sub(o.PlacedAt).Milliseconds())
	}
	return terminal.Clean(text)
}

func listCommand() *cobra.Command {
	var d ordersAPI
	var f rest.Filter
	cmd := &cobra.Command{
		Use: "list", Short: "List orders, the newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("customer") {
				f.CustomerID = d.customer
			}
			return d.run(func(ctx context.Context, c customer, _ []string) error {
				page, err := c.List(ctx, f)
				if err != nil {
					return err
				}
				head := "ORDER\tPLACED\tCUSTOMER\tTOTAL\tOUTCOME"
				return table(c.printer, page, page.NextPageToken, head, page.Orders, func(o rest.Order) []any {
					return []any{o.ID, when(o.PlacedAt), o.CustomerID, terminal.Money(o.Total, o.Currency), outcome(o)}
				})
			})(cmd, args)
		},
	}
	d.flags(cmd)
	cmd.Flags().Lookup("customer").Usage += "; where it is given, only orders of this customer are listed"
	cmd.Flags().StringVar(&f.Status, "status", "", "only placed, confirmed or cancelled ones")
	pageFlags(cmd, &f.PageSize, &f.PageToken)
	return cmd
}
