package cli

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/services/troupe/internal/narrate"
	"github.com/troupe-dev/troupe/services/troupe/internal/terminal"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

// ordersAPI are the flags of every command that talks to the order and query services.
type ordersAPI struct {
	asking
	order, query, customer string
}

func (d *ordersAPI) flags(cmd *cobra.Command) {
	at := playground()
	urlFlag(cmd, &d.order, "order", at.Order, "the order service")
	urlFlag(cmd, &d.query, "query", at.Query, "the query service")
	cmd.Flags().StringVar(&d.customer, "customer", variable("TROUPE_CUSTOMER", "c-1001"),
		"customer to act for; in a playground the token is this one's [TROUPE_CUSTOMER]")
	d.asking.flags(cmd, readWithin)
}

// customer is one command's conversation with the services, and where it is told.
type customer struct {
	*rest.Client
	printer
}

// run is the RunE of a command.
func (d *ordersAPI) run(f func(ctx context.Context, c customer, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		return d.with(cmd, func(ctx context.Context, p printer) error {
			return f(ctx, customer{rest.New(d.order, d.query).As(tokens(d.customer, d.order, d.query)), p}, args)
		})
	}
}

func placeCommand() *cobra.Command {
	var d ordersAPI
	o := rest.PlaceOrder{}
	var key string
	var lines []string
	var wait bool
	cmd := &cobra.Command{
		Use: "place", Short: "Place an order", Args: cobra.NoArgs,
		Long: `Places an order: two boxes of green tea for Ada, unless flags say otherwise. Payment methods of the simulator: pm_card_visa
succeeds, pm_card_chargeDeclined and pm_card_chargeDeclinedInsufficientFunds are declined.`,
		Example: "  troupe place --line 'TEA-250:Green tea:2:1250' --line 'CUP:Cup:1:990' --wait",
		RunE: d.run(func(ctx context.Context, c customer, _ []string) (err error) {
			o.CustomerID = d.customer
			if o.Lines, err = parseLines(lines); err != nil {
				return usageError{err}
			}
			if key == "" {
				key = uuid.NewString()
			}
			a, err := c.Place(ctx, key, o)
			if err != nil {
				_, _ = fmt.Fprintf(c.errs, "idempotency key %s; the same key and order again is safe\n", key)
				return err
			}
			if !c.json {
				_, _ = fmt.Fprintf(c.out, "order %s, idempotency key %s\n", terminal.Clean(a.ID), key)
			}
			if wait {
				return c.follow(ctx, a.ID, a.ConsistencyToken, rest.Ended)
			}
			return c.document(a)
		}),
	}
	d.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&o.Email, "email", "ada@example.com", "where the customer is told")
	f.StringVar(&o.Currency, "currency", "EUR", "ISO 4217")
	f.StringVar(&o.PaymentMethod, "payment-method", "pm_card_visa", "the gateway's token for a payment method, never a card number")
	f.StringArrayVar(&lines, "line", []string{"TEA-250:Green tea:2:1250"},
		"SKU:NAME:QUANTITY:UNIT_PRICE, the price in minor units; may be repeated")
	f.StringVar(&key, "key", "", "Idempotency-Key; made and printed when missing")
	f.BoolVar(&wait, "wait", false, "follow the order until it is settled and its customer told")
	return cmd
}

// lineForm is SKU:NAME:QUANTITY:UNIT_PRICE; the name may have colons.
var lineForm = regexp.MustCompile(`^([^:]*):(.*):(\d{1,9}):(\d{1,18})$`)

func parseLines(args []string) ([]rest.Line, error) {
	var lines []rest.Line
	for _, a := range args {
		part := lineForm.FindStringSubmatch(a)
		if part == nil {
			return nil, fault.Field("--line", "must be SKU:NAME:QUANTITY:UNIT_PRICE, such as 'TEA-250:Green tea:2:1250'; %q is not", a)
		}
		quantity, _ := strconv.Atoi(part[3]) // they have so few digits that they fit
		price, _ := strconv.ParseInt(part[4], 10, 64)
		lines = append(lines, rest.Line{SKU: part[1], Name: part[2], Quantity: quantity, UnitPrice: price})
	}
	return lines, nil
}

func cancelCommand() *cobra.Command {
	var d ordersAPI
	var wait bool
	cmd := &cobra.Command{
		Use: "cancel ORDER", Short: "Ask for an order's cancellation; what was charged is refunded", Args: cobra.ExactArgs(1),
		RunE: d.run(func(ctx context.Context, c customer, args []string) error {
			a, err := c.Cancel(ctx, args[0])
			if err != nil {
				return err
			}
			if wait { // it may be settled still, as it was before
				return c.follow(ctx, a.ID, a.ConsistencyToken, func(o rest.Order) bool {
					return o.Status == "cancelled" && rest.Ended(o)
				})
			}
			return c.document(a)
		}),
	}
	d.flags(cmd)
	cmd.Flags().BoolVar(&wait, "wait", false, "follow the order until it is settled and its customer told")
	return cmd
}

func followCommand() *cobra.Command {
	var d ordersAPI
	cmd := &cobra.Command{
		Use: "follow ORDER", Short: "Tell an order's story while it happens, until it is settled and its customer told", Args: cobra.ExactArgs(1),
		Long: `Each line is an event: when it happened, who published it, and how long after its cause. With --json each line is the order
after a change.`,
		RunE: d.run(func(ctx context.Context, c customer, args []string) error {
			return c.follow(ctx, args[0], "", rest.Ended)
		}),
	}
	d.flags(cmd)
	return cmd
}

// follow tells an order's story from the write of a token until end.
func (c customer) follow(ctx context.Context, id, token string, end func(rest.Order) bool) error {
	if _, err := c.Order(ctx, id, rest.Read{Token: token, Wait: 10 * time.Second}); err != nil {
		return err
	}
	if c.json {
		var failed error
		err := c.Follow(ctx, id, func(o rest.Order) bool {
			failed = c.document(o)
			return failed != nil || end(o)
		})
		return errors.Join(err, failed)
	}
	o, err := narrate.New(c.out, c.Client, id).Until(ctx, end)
	if err == nil {
		_, err = fmt.Fprintf(c.out, "  %s\n", outcome(o))
	}
	return err
}
