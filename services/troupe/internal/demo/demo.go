// Package demo performs three orders on a running troupe, tells what happens as it happens, and checks at the end that
// everything that should be true is.
package demo

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/troupe-dev/troupe/schemas/check"
	"github.com/troupe-dev/troupe/services/troupe/inspect"
	"github.com/troupe-dev/troupe/services/troupe/internal/narrate"
	"github.com/troupe-dev/troupe/services/troupe/internal/terminal"
	"github.com/troupe-dev/troupe/services/troupe/load"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

// actWithin bounds each of the three orders.
const actWithin = 45 * time.Second

// Demo is a performance.
type Demo struct {
	Orders *rest.Client
	// Gateway and Mailbox are base URLs of the simulator and of the mailbox, or of a Mailpit. What is empty is not looked at: another
	// gateway keeps no ledger that is read by order, and another mail server no mails.
	Gateway, Mailbox string
	Out              io.Writer
}

// act is one order and what must be true of it at the end.
type act struct {
	title  string
	method string
	cancel bool // once it is confirmed

	status, payment  string
	charges, refunds int
	mails            []string

	order rest.Order // as it was last seen
}

func acts() []*act {
	return []*act{
		{title: "A good card", method: "pm_card_visa",
			status: "confirmed", payment: "succeeded", charges: 1, mails: []string{"confirmed"}},
		{title: "A declined card", method: "pm_card_chargeDeclined",
			status: "cancelled", payment: "declined", mails: []string{"cancelled"}},
		{title: "Cancelled after payment", method: "pm_card_visa", cancel: true,
			status: "cancelled", payment: "refunded", charges: 1, refunds: 1, mails: []string{"confirmed", "cancelled", "refunded"}},
	}
}

// Run performs. ok is false when something that should be true is not; the error is for what could not be done at all.
func (d Demo) Run(ctx context.Context) (ok bool, err error) {
	list, style := acts(), terminal.StyleOf(d.Out)
	for i, a := range list {
		d.say("\n%s\n", style.Paint(terminal.Bold, fmt.Sprintf("%d. %s", i+1, a.title)))
		if err := d.perform(ctx, a); err != nil {
			return false, fmt.Errorf("%s: %w", strings.ToLower(a.title), err)
		}
	}
	d.say("\n%s\n", style.Paint(terminal.Bold, "What should be true now"))
	ok = true
	for i, a := range list {
		claims, err := d.claims(ctx, a)
		if err != nil {
			return false, err
		}
		for _, c := range claims {
			mark := style.Paint(terminal.Green, "✓")
			if !c.holds {
				mark, ok = style.Paint(terminal.Red, "✗"), false
			}
			d.say("  %s %d. %-11s %s\n", mark, i+1, c.where, terminal.Clean(c.text))
		}
	}
	if d.Gateway == "" {
		d.say("  - the gateway's ledger was not looked at: nobody said where it is\n")
	}
	if d.Mailbox == "" {
		d.say("  - the mailbox was not looked at: nobody said where it is\n")
	}
	verdict := style.Paint(terminal.Green, "All of it is.")
	if !ok {
		verdict = style.Paint(terminal.Red, "Not all of it is.")
	}
	d.say("\n%s\n\n", verdict)
	return ok, nil
}

func (d Demo) say(format string, args ...any) {
	_, _ = fmt.Fprintf(d.Out, format, args...) // nobody looks; the checks still count
}

// perform places the order and follows it to its end.
func (d Demo) perform(ctx context.Context, a *act) error {
	ctx, cancel := context.WithTimeout(ctx, actWithin)
	defer cancel()
	placed, err := d.Orders.Place(ctx, uuid.NewString(), load.Tea("c-1001", a.method))
	if err != nil {
		return err
	}
	d.say("  %s\n", terminal.StyleOf(d.Out).Paint(terminal.Dim, "POST /orders → 202, order "+terminal.Clean(placed.ID)))
	if _, err := d.Orders.Order(ctx, placed.ID, rest.Read{Token: placed.ConsistencyToken, Wait: 30 * time.Second}); err != nil {
		return err
	}
	n := narrate.New(d.Out, d.Orders, placed.ID)
	if a.order, err = n.Until(ctx, rest.Ended); err != nil || !a.cancel {
		return err
	}
	if _, err := d.Orders.Cancel(ctx, placed.ID); err != nil {
		return err
	}
	d.say("  %s\n", terminal.StyleOf(d.Out).Paint(terminal.Dim, "POST /orders/"+terminal.Clean(placed.ID)+"/cancel → 202"))
	a.order, err = n.Until(ctx, func(o rest.Order) bool { return o.Status == "cancelled" && rest.Ended(o) })
	return err
}

// claim is something that should be true.
type claim struct {
	where, text string
	holds       bool
}

func (d Demo) claims(ctx context.Context, a *act) ([]claim, error) {
	o := a.order
	claims := []claim{{
		where: "read model", holds: o.Status == a.status && o.Payment.Status == a.payment && o.Settled,
		text: fmt.Sprintf("the order is %s, its payment %s, settled after %d ms", o.Status, o.Payment.Status,
			o.SettledAt.Sub(o.PlacedAt).Milliseconds()),
	}}
	log, err := inspect.Story(ctx, d.Orders, o.ID)
	if err != nil {
		return nil, fmt.Errorf("read the story: %w", err)
	}
	e := check.Expected{ID: o.ID, Total: o.Total, Currency: o.Currency, Declined: a.payment == "declined", CancelAsked: a.cancel}
	claims = append(claims, judged("log", "every event is a step of the choreography, once, and after its cause", log.Ended(e)))
	if d.Gateway != "" {
		ledger, err := d.ledger(ctx, a, log, e)
		if err != nil {
			return nil, fmt.Errorf("read the ledger: %w", err)
		}
		claims = append(claims, ledger)
	}
	if d.Mailbox != "" {
		mails, err := d.mails(ctx, a)
		if err != nil {
			return nil, fmt.Errorf("read the mailbox: %w", err)
		}
		claims = append(claims, mails)
	}
	return claims, nil
}

// judged is a claim that the checker has looked at.
func judged(where, text string, wrong []check.Violation) claim {
	if len(wrong) > 0 {
		text += ": " + wrong[0].Text
	}
	return claim{where, text, len(wrong) == 0}
}

func (d Demo) ledger(ctx context.Context, a *act, log *check.Order, e check.Expected) (claim, error) {
	ledger, err := inspect.Ledger(ctx, d.Gateway, e.ID)
	l := ledger.Orders[e.ID]
	m := l.Money()
	c := judged("ledger", sum(m.Charges, "charge", m.Charged, e.Currency)+", "+sum(m.Refunds, "refund", m.Refunded, e.Currency),
		log.Paid(e, l))
	c.holds = c.holds && m.Charges == a.charges && m.Refunds == a.refunds
	return c, err
}

func (d Demo) mails(ctx context.Context, a *act) (claim, error) {
	want := map[string]int{}
	for _, k := range a.mails {
		want[k] = 1
	}
	c := claim{where: "mailbox", holds: len(a.order.Notifications) == len(a.mails)}
	var kinds []string
	for _, n := range a.order.Notifications {
		got, err := inspect.MailCount(ctx, d.Mailbox, n.MessageID)
		if err != nil {
			return c, err
		}
		want[n.Kind]--
		c.holds = c.holds && n.Status == "sent" && want[n.Kind] == 0 && got > 0
		kind := "“" + n.Kind + "”"
		if got != 1 { // sent again with the same Message-ID is allowed, and worth seeing
			kind += fmt.Sprintf(" × %d", got)
		}
		kinds = append(kinds, kind)
	}
	c.text = count(len(kinds), "mail") + ": " + strings.Join(kinds, ", ")
	return c, nil
}

func sum(n int, noun string, minor int64, currency string) string {
	if n == 0 {
		return "no " + noun
	}
	return count(n, noun) + " over " + terminal.Money(minor, currency)
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
