package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/schemas/check"
	"github.com/troupe-dev/troupe/services/troupe/inspect"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

// outside is what both systems change: the gateway's ledger and the mailbox. It is judged in the words of make prove;
// the rules about the log have no say here: an orchestrator has none.
type outside struct {
	gateway, mailbox string // base URLs

	after int64 // the last mail that was read
}

// begin leaves the mails out that came before.
func (o *outside) begin(ctx context.Context) error {
	_, err := o.mails(ctx)
	return err
}

// mails reads those that have come since it was last asked.
func (o *outside) mails(ctx context.Context) ([]check.Mail, error) {
	all, err := inspect.Mails(ctx, o.mailbox, o.after)
	if n := len(all); n > 0 {
		o.after = all[n-1].ID
	}
	return all, err
}

// judge holds what customers were promised against what they read, what they paid and what they were told.
func judge(
	ctx context.Context, orders *rest.Client, o *outside, expected []check.Expected, mails []check.Mail,
) ([]check.Violation, error) {
	ledger, err := inspect.Ledger(ctx, o.gateway, "")
	if err != nil {
		return nil, err
	}
	told := map[string]map[string][]string{} // Message-IDs by address and subject
	for _, m := range mails {
		for _, to := range m.To {
			if told[to] == nil {
				told[to] = map[string][]string{}
			}
			if ids := told[to][m.Subject]; !slices.Contains(ids, m.MessageID) {
				told[to][m.Subject] = append(ids, m.MessageID)
			}
		}
	}
	var found []check.Violation
	for _, e := range expected {
		doc, err := orders.Order(ctx, e.ID, rest.Read{})
		money := ledger.Orders[e.ID].Money()
		add := func(broken bool, g check.Guarantee, format string, args ...any) {
			if broken {
				found = append(found, check.Violation{Guarantee: g, Order: e.ID, Text: fmt.Sprintf(format, args...)})
			}
		}
		add(money.Charges > 1, check.ChargedTwice, "the ledger has %d charges", money.Charges)
		add(money.Refunds > 1, check.RefundedTwice, "the ledger has %d refunds", money.Refunds)
		for subject, ids := range told[e.Email] {
			add(len(ids) > 1, check.MailedTwice, "%q came under %d Message-IDs", subject, len(ids))
		}
		if err != nil && fault.ClassOf(err) != fault.NotFound {
			add(true, check.Stuck, "cannot be read: %v", err)
			continue
		}
		if err != nil {
			add(true, check.Lost, "was answered with 202 and is not there; the ledger has %d charges and %d refunds",
				money.Charges, money.Refunds)
			continue
		}
		if !doc.Settled {
			add(true, check.Stuck, "is %s, payment %s", doc.Status, doc.Payment.Status)
			continue
		}
		cancelled := doc.Status == "cancelled"
		add(e.CancelAsked && !cancelled, check.Lost, "is %s, though its cancellation was promised", doc.Status)
		add(cancelled && money.Charges > money.Refunds, check.Lost, "is cancelled with %d charges and %d refunds",
			money.Charges, money.Refunds)
		add(!cancelled && (money.Charges == 0 || money.Refunds > 0), check.Choreography,
			"is confirmed with %d charges and %d refunds", money.Charges, money.Refunds)
		add(e.Declined && money.Charges > 0, check.Choreography, "has a declined card and was charged")
		add(!e.Declined && !e.CancelAsked && cancelled, check.Choreography, "has a good card and is cancelled")
		add(money.Charged != e.Total*int64(money.Charges), check.Choreography, "over %d was charged %d",
			e.Total, money.Charged)
		ends := 1 // confirmed, cancelled
		if money.Refunds > 0 {
			ends = 2 // cancelled and refunded; whether it was confirmed before, only its log would say
		}
		add(len(told[e.Email]) < ends, check.Lost, "its customer was told of %d ends, not of %d", len(told[e.Email]), ends)
	}
	return found, nil
}
