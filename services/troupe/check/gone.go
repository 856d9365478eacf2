package check

import (
	"context"
	"slices"

	"github.com/troupe-dev/troupe/services/troupe/internal/gateway"
	"github.com/troupe-dev/troupe/services/troupe/internal/mailbox"
)

// Gone is what is left of the orders of a log that is gone: money and mails, which nobody may touch at the word of another log.
type Gone struct {
	ledger map[string]gateway.LedgerOrder
	mails  map[string]bool // by Message-ID
}

// Remember notes what there is of the orders so far. After that their log may be deleted, and another one take its place.
func (s System) Remember(ctx context.Context) (Gone, error) {
	ledger, err := Ledger(ctx, s.Gateway, "")
	if err != nil {
		return Gone{}, err
	}
	mails, err := s.mails(ctx)
	g := Gone{ledger.Orders, map[string]bool{}}
	for _, m := range mails {
		g.mails[m.MessageID] = true
	}
	return g, err
}

// leave takes what is left of them out of the ledger and the mailbox. What has come to it since is a violation.
func (g Gone) leave(r *Report, ledger gateway.Ledger, mails []mailbox.Message) []mailbox.Message {
	for id, was := range g.ledger {
		if before, now := Moved(was), Moved(ledger.Orders[id]); now != before {
			broken := ChargedTwice
			if now.Charges == before.Charges {
				broken = RefundedTwice
			}
			r.Violation(broken, id, "its log is gone, and its money moved from %+v to %+v", before, now)
		}
		delete(ledger.Orders, id)
	}
	return slices.DeleteFunc(mails, func(m mailbox.Message) bool { return g.mails[m.MessageID] })
}
