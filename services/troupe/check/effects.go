package check

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/troupe-dev/troupe/services/troupe/internal/gateway"
	"github.com/troupe-dev/troupe/services/troupe/internal/mailbox"
)

func (s System) ledger(ctx context.Context) (gateway.Ledger, error) {
	return Ledger(ctx, s.Gateway, "")
}

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
func ledgerAgainst(r *Report, ledger gateway.Ledger, l *Log, expected map[string]Expected) {
	for id, o := range ledger.Orders {
		m := Moved(o)
		r.Charges, r.Declines, r.Refunds = r.Charges+m.Charges, r.Declines+m.Declines, r.Refunds+m.Refunds
		if _, ok := expected[id]; !ok {
			r.violation("the ledger has an order %q that nobody was promised", id)
		}
	}
	for id, e := range expected {
		f, m := l.facts(id), Moved(ledger.Orders[id])
		if m.Charges != f.succeeded || m.Charged != int64(f.succeeded)*e.Total {
			r.violation("order %s: the ledger has %d charges over %d, the log %d over %d", id, m.Charges, m.Charged, f.succeeded, e.Total)
		}
		if m.Refunds != f.refunded || m.Refunded != int64(f.refunded)*e.Total {
			r.violation("order %s: the ledger has %d refunds over %d, the log %d over %d", id, m.Refunds, m.Refunded, f.refunded, e.Total)
		}
	}
}

// mails reads the whole mailbox and returns how many mails each Message-ID has.
func (s System) mails(ctx context.Context) (map[string]int, error) {
	byID := map[string]int{}
	for after := int64(0); ; {
		var page mailbox.List
		if err := get(ctx, s.Mailbox+"/api/messages?limit=10000&after="+strconv.FormatInt(after, 10), &page); err != nil {
			return nil, fmt.Errorf("read the mailbox: %w", err)
		}
		for _, m := range page.Messages {
			byID[bare(m.MessageID)]++
		}
		if after = page.NextAfter; after == 0 {
			return byID, nil
		}
	}
}

// MailCount returns how many mails the mailbox has with a Message-ID.
func MailCount(ctx context.Context, mailboxURL, messageID string) (int, error) {
	var page mailbox.List
	err := get(ctx, mailboxURL+"/api/messages?message_id="+url.QueryEscape(bare(messageID)), &page)
	return page.Total, err
}

func bare(messageID string) string { return strings.Trim(messageID, "<>") }

// mailAgainst checks that there is one Message-ID per fact and no mail without one. Copies with the same Message-ID are allowed.
func mailAgainst(r *Report, mails map[string]int, l *Log) {
	owner := map[string]string{}
	for id := range l.Accepted {
		for message := range l.facts(id).messageIDs {
			message = bare(message)
			if other, taken := owner[message]; taken {
				r.violation("orders %s and %s share the Message-ID %s", other, id, message)
			}
			owner[message] = id
			if mails[message] == 0 {
				r.violation("order %s: mail %s was sent, says the log, and is not in the mailbox", id, message)
			}
		}
	}
	for message, n := range mails {
		r.Mails++
		r.MailCopies += n - 1
		if owner[message] == "" {
			r.violation("mail %s is in the mailbox, and no fact says so", message)
		}
	}
}
