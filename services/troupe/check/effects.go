package check

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	"github.com/troupe-dev/troupe/services/troupe/internal/gateway"
	"github.com/troupe-dev/troupe/services/troupe/internal/mailbox"
)

// Ledger reads the simulator's ledger: of one order, or of all when orderID is empty.
func Ledger(ctx context.Context, gatewayURL, orderID string) (l gateway.Ledger, err error) {
	from := gatewayURL + "/ledger"
	if orderID != "" {
		from += "?order_id=" + url.QueryEscape(orderID)
	}
	return l, get(ctx, from, &l)
}

// Money that moved for an order, amounts in minor units.
type Money struct {
	Charges, Declines, Refunds int
	Charged, Refunded          int64
}

// Moved adds up what the ledger says about an order. What has not failed may still succeed, and counts.
func Moved(o gateway.LedgerOrder) (m Money) {
	for _, in := range o.Intents {
		for _, c := range in.Charges {
			if c.Status == "failed" {
				m.Declines++
				continue
			}
			m.Charges++
			m.Charged += c.Amount
		}
		for _, r := range in.Refunds {
			m.Refunds++
			m.Refunded += r.Amount
		}
	}
	return m
}

// ledgerAgainst checks that money moved exactly as the log says: one charge per paid order, one refund per cancelled paid order.
func ledgerAgainst(r *Report, ledger gateway.Ledger, l *log, expected map[string]Expected, parked map[string]bool) {
	for id, o := range ledger.Orders {
		m := Moved(o)
		r.Charges, r.Declines, r.Refunds = r.Charges+m.Charges, r.Declines+m.Declines, r.Refunds+m.Refunds
		if _, ok := expected[id]; !ok {
			r.Violation(Choreography, id, "is in the ledger, but nobody was promised it")
		}
		l.moneyInOrder(r, id, o)
	}
	for id, e := range expected {
		f, m := l.facts(id), Moved(ledger.Orders[id])
		r.ChargesPerOrder[m.Charges]++
		if m.Charges > 0 && f.cancelled > 0 {
			r.RefundsPerCancelled[m.Refunds]++
		}
		if m.Charges > 1 {
			r.Violation(ChargedTwice, id, "the ledger has %d charges", m.Charges)
		}
		if m.Refunds > 1 {
			r.Violation(RefundedTwice, id, "the ledger has %d refunds", m.Refunds)
		}
		if parked[id] {
			continue
		}
		if m.Charges != f.succeeded || m.Charged != int64(f.succeeded)*e.Total {
			r.Violation(differs(m.Charges, f.succeeded), id, "the ledger has %d charges over %d, the log %d over %d",
				m.Charges, m.Charged, f.succeeded, e.Total)
		}
		if m.Refunds != f.refunded || m.Refunded != int64(f.refunded)*e.Total {
			r.Violation(differs(m.Refunds, f.refunded), id, "the ledger has %d refunds over %d, the log %d over %d",
				m.Refunds, m.Refunded, f.refunded, e.Total)
		}
	}
}

// differs: what the log does not know of will never be undone; what only the log knows of is a contradiction.
func differs(ledger, log int) Guarantee {
	if ledger > log {
		return Lost
	}
	return Choreography
}

// moneyInOrder checks that no money moved before there was a reason to.
func (l *log) moneyInOrder(r *Report, id string, o gateway.LedgerOrder) {
	var placed, cancelled, charged time.Time
	for _, m := range l.Accepted[id] {
		switch m.Body.(type) {
		case *orderv1.OrderPlaced:
			placed = m.Time
		case *orderv1.OrderCancelled:
			cancelled = m.Time
		}
	}
	before := func(what string, when time.Time, cause string, since time.Time) {
		if since.IsZero() || when.Before(since) {
			r.Violation(Misordered, id, "%s at %s, but %s at %s", what, when, cause, since)
		}
	}
	for _, in := range o.Intents {
		before("its payment was begun", in.Created, "it was placed", placed)
		for _, c := range in.Charges {
			before("it was charged", c.At, "its payment was begun", in.Created)
			if c.Status != "failed" {
				charged = c.At
			}
		}
		for _, back := range in.Refunds {
			before("it was refunded", back.At, "it was charged", charged)
			before("it was refunded", back.At, "it was cancelled", cancelled)
		}
	}
}

// mails reads the whole mailbox, oldest first.
func (s System) mails(ctx context.Context) ([]mailbox.Message, error) {
	var all []mailbox.Message
	for after := int64(0); ; {
		var page mailbox.List
		if err := get(ctx, s.Mailbox+"/api/messages?limit=10000&after="+strconv.FormatInt(after, 10), &page); err != nil {
			return nil, fmt.Errorf("read the mailbox: %w", err)
		}
		all = append(all, page.Messages...)
		if after = page.NextAfter; after == 0 {
			return all, nil
		}
	}
}

// MailCount returns how many mails have a Message-ID, in the mailbox of the playground or in a Mailpit, which knows no such path as ours.
func MailCount(ctx context.Context, mailboxURL, messageID string) (int, error) {
	var page mailbox.List
	err := get(ctx, mailboxURL+"/api/messages?message_id="+url.QueryEscape(bare(messageID)), &page)
	if fault.ClassOf(err) != fault.NotFound {
		return page.Total, err
	}
	var found struct {
		Count int `json:"messages_count"`
	}
	err = get(ctx, mailboxURL+"/api/v1/search?limit=1&query="+url.QueryEscape("message-id:"+bare(messageID)), &found)
	return found.Count, err
}

func bare(messageID string) string { return strings.Trim(messageID, "<>") }
