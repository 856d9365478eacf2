package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
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
	urlFlag(cmd, &d.order, "order", "http://127.0.0.1:8081", "the order service")
	urlFlag(cmd, &d.query, "query", "http://127.0.0.1:8084", "the query service")
	cmd.Flags().StringVar(&d.customer, "customer", variable("TROUPE_CUSTOMER", "c-1001"),
		"customer to act for; in a playground the token is this one's [TROUPE_CUSTOMER]")
	d.asking.flags(cmd)
}

// talk is one command's conversation with the services, and where it is told.
type talk struct {
	*rest.Client
	*printer
}

// run is the RunE of a command.
func (d *ordersAPI) run(f func(ctx context.Context, t talk, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		return d.with(cmd, false, func(ctx context.Context, p *printer) error {
			return f(ctx, talk{rest.New(d.order, d.query).As(tokens(d.customer, d.order, d.query)), p}, args)
		})
	}
}

// oneOrder takes exactly one argument, an order's id.
var oneOrder = exactlyOne("order id")

func placeCommand() *cobra.Command {
	var d ordersAPI
	o := rest.PlaceOrder{}
	var key string
	var lines []string
	var wait bool
	cmd := &cobra.Command{
		Use: "place", Short: "Place an order", Args: none,
		Long: `Places an order: two boxes of green tea for Ada, unless flags say otherwise. Payment methods of the simulator: pm_card_visa
succeeds, pm_card_chargeDeclined and pm_card_chargeDeclinedInsufficientFunds are declined.`,
		Example: "  troupe place --line 'TEA-250:Green tea:2:1250' --line 'CUP:Cup:1:990' --wait",
		RunE: d.run(func(ctx context.Context, t talk, _ []string) (err error) {
			o.CustomerID = d.customer
			if o.Lines, err = parseLines(lines); err != nil {
				return usageError{err}
			}
			if key == "" {
				key = uuid.NewString()
			}
			a, err := t.Place(ctx, key, o)
			if err != nil {
				fmt.Fprintf(t.errs, "idempotency key %s; the same key and order again is safe\n", key)
				return err
			}
			id := t.style.Paint(terminal.Bold, terminal.Clean(a.ID))
			if wait {
				if !t.json {
					t.f("order %s, idempotency key %s\n", id, key)
				}
				return t.follow(ctx, a.ID, a.ConsistencyToken, ended)
			}
			if t.json {
				t.document(a.Raw)
				return nil
			}
			t.f("order %s taken, %s\n  idempotency key  %s\n  watch it         troupe follow %s\n",
				id, terminal.Money(a.Total, a.Currency), key, terminal.Clean(a.ID))
			return nil
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

// parseLines reads SKU:NAME:QUANTITY:UNIT_PRICE; the name may have colons.
func parseLines(args []string) ([]rest.Line, error) {
	var lines []rest.Line
	for _, a := range args {
		bad := fault.Field("--line", "must be SKU:NAME:QUANTITY:UNIT_PRICE, such as 'TEA-250:Green tea:2:1250'; %q is not", a)
		part := strings.Split(a, ":")
		if len(part) < 4 {
			return nil, bad
		}
		n := len(part)
		quantity, err1 := strconv.Atoi(part[n-2])
		price, err2 := strconv.ParseInt(part[n-1], 10, 64)
		if err1 != nil || err2 != nil {
			return nil, bad
		}
		lines = append(lines, rest.Line{SKU: part[0], Name: strings.Join(part[1:n-2], ":"), Quantity: quantity, UnitPrice: price})
	}
	return lines, nil
}

func cancelCommand() *cobra.Command {
	var d ordersAPI
	var wait bool
	cmd := &cobra.Command{
		Use: "cancel ORDER", Short: "Ask for an order's cancellation; what was charged is refunded", Args: oneOrder,
		RunE: d.run(func(ctx context.Context, t talk, args []string) error {
			a, err := t.Cancel(ctx, args[0])
			switch {
			case err != nil:
				return err
			case wait: // it may be settled still, as it was before
				return t.follow(ctx, a.ID, a.ConsistencyToken, func(o rest.Order) bool { return o.Status == "cancelled" && ended(o) })
			case t.json:
				t.document(a.Raw)
			default:
				t.f("cancellation of order %s asked for; it was %s\n", t.style.Paint(terminal.Bold, terminal.Clean(a.ID)), terminal.Clean(a.Status))
			}
			return nil
		}),
	}
	d.flags(cmd)
	cmd.Flags().BoolVar(&wait, "wait", false, "follow the order until it is settled and its customer told")
	return cmd
}

func followCommand() *cobra.Command {
	var d ordersAPI
	cmd := &cobra.Command{
		Use: "follow ORDER", Short: "Tell an order's story while it happens, until it is settled and its customer told", Args: oneOrder,
		Long: `Each line is an event: when it happened, who published it, and how long after its cause. With --json each line is the order
after a change.`,
		RunE: d.run(func(ctx context.Context, t talk, args []string) error { return t.follow(ctx, args[0], "", ended) }),
	}
	d.flags(cmd)
	return cmd
}

// ended: settled, and its customer told.
func ended(o rest.Order) bool { return o.Settled && o.Told() }

// follow tells an order's story from the write of a token until end.
func (t talk) follow(ctx context.Context, id, token string, end func(rest.Order) bool) error {
	if _, err := t.Order(ctx, id, rest.Read{Token: token, Wait: 10 * time.Second}); err != nil {
		return err
	}
	if t.json {
		return t.Follow(ctx, id, func(o rest.Order) bool {
			t.document(o.Raw)
			return t.err != nil || end(o)
		})
	}
	o, err := narrate.New(t.out, t.style, t.Client, id).Until(ctx, end)
	if err == nil {
		t.f("  %s\n", outcome(t.style, o))
	}
	return err
}
