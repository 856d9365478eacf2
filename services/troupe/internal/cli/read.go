package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/services/troupe/internal/narrate"
	"github.com/troupe-dev/troupe/services/troupe/internal/terminal"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

func showCommand() *cobra.Command {
	var d ordersAPI
	var token string
	var wait time.Duration
	cmd := &cobra.Command{
		Use: "show ORDER", Short: "Show an order and its story", Args: oneOrder,
		RunE: d.run(func(ctx context.Context, t talk, args []string) error {
			if wait < 0 || wait > 30*time.Second {
				return usageError{fault.Field("--wait", "must be 0s to 30s, is %s", wait)}
			}
			o, err := t.Order(ctx, args[0], rest.Read{Token: token, Wait: wait, UntilSettled: wait > 0})
			if err != nil {
				return err
			}
			if t.json {
				t.document(o.Raw)
				return nil
			}
			s, err := t.Story(ctx, args[0])
			if err == nil {
				t.printOrder(o, s)
			}
			return err
		}),
	}
	d.flags(cmd)
	cmd.Flags().StringVar(&token, "token", "", "consistency token of a write that must be visible")
	cmd.Flags().DurationVar(&wait, "wait", 0, "wait so long at most until the order is settled, whole seconds up to 30s")
	return cmd
}

func (p *printer) printOrder(o rest.Order, s rest.Story) {
	p.f("order %s  %s\n", p.style.Paint(terminal.Bold, terminal.Clean(o.ID)), outcome(p.style, o))
	p.f("  customer  %s, %s\n", terminal.Clean(o.CustomerID), o.PlacedAt.Local().Format("2006-01-02 15:04:05"))
	for _, l := range o.Lines {
		p.f("  %8d  %s (%s) at %s\n", l.Quantity, terminal.Clean(l.Name), terminal.Clean(l.SKU), terminal.Money(l.UnitPrice, o.Currency))
	}
	p.f("     total  %s\n", terminal.Money(o.Total, o.Currency))
	p.f("   payment  %s %s\n", terminal.Clean(o.Payment.Status), terminal.Clean(o.Payment.PaymentIntentID+o.Payment.Reason))
	for _, n := range o.Notifications {
		p.f("      mail  “%s” %s\n", terminal.Clean(n.Kind), terminal.Clean(n.Status))
	}
	p.f("\n")
	for _, e := range s.Events {
		p.f("%s", narrate.Line(p.style, e, s.Events[0].Time))
	}
}

// outcome is the state of an order in a few words.
func outcome(style terminal.Style, o rest.Order) string {
	colour := terminal.Yellow
	text := terminal.Clean(o.Status)
	if o.Status == "cancelled" && o.Cancellation != nil && o.Cancellation.Reason != "" {
		text += " (" + terminal.Clean(o.Cancellation.Reason) + ")"
	}
	if o.Settled {
		if colour = terminal.Green; o.Status == "cancelled" {
			colour = terminal.Magenta
		}
		text += fmt.Sprintf(", settled after %d ms", o.SettledAt.Sub(o.PlacedAt).Milliseconds())
	}
	return style.Paint(colour, text)
}

func listCommand() *cobra.Command {
	var d ordersAPI
	var f rest.Filter
	var paging rest.Paging
	cmd := &cobra.Command{
		Use: "list", Short: "List orders, the newest first", Args: none,
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("customer") {
				f.CustomerID = d.customer
			}
			return d.run(func(ctx context.Context, t talk, _ []string) error {
				f.PageSize, f.PageToken = paging.Size, paging.Token
				page, err := t.List(ctx, f)
				if err != nil {
					return err
				}
				if t.json {
					t.document(page.Raw)
					return nil
				}
				for _, o := range page.Orders {
					t.f("%s  %s  %-12s %14s  %s\n", terminal.Clean(o.ID), o.PlacedAt.Local().Format("2006-01-02 15:04:05"),
						terminal.Clean(o.CustomerID), terminal.Money(o.Total, o.Currency), outcome(t.style, o))
				}
				if len(page.Orders) == 0 {
					t.f("no orders\n")
				}
				t.more("list", page.NextPageToken, "")
				return nil
			})(cmd, args)
		},
	}
	d.flags(cmd)
	cmd.Flags().Lookup("customer").Usage += "; where it is given, only orders of this customer are listed"
	cmd.Flags().StringVar(&f.Status, "status", "", "only placed, confirmed or cancelled ones")
	pageFlags(cmd, &paging)
	return cmd
}
