// Package check finds out from outside whether a troupe kept its promises: it reads the whole log, the gateway's ledger, the
// mailbox and the read model, and compares them with each other and with what the customers were promised.
package check

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

// Expected is what a customer was promised: an order answered with 202.
type Expected struct {
	ID string
	// Total in minor units.
	Total    int64
	Currency string
	// Declined: the payment method is one that the gateway declines.
	Declined bool
	// CancelAsked: a cancellation was answered with 202.
	CancelAsked bool
}

// System is what is looked at.
type System struct {
	Log        broker.Log
	Partitions int
	Orders     *rest.Client
	// Gateway and Mailbox are base URLs of the simulator and the mailbox.
	Gateway, Mailbox string
	// Read reads an order's document from the read model, and Fold makes it from all records of the order: they must be the same.
	Read func(ctx context.Context, id string) (doc any, ok bool, err error)
	Fold func(records []broker.Record) any
}

// Report is what was found. Everything is right when Violations is empty.
type Report struct {
	Orders, Confirmed, Cancelled         int
	Charges, Declines, Refunds           int
	Mails, MailCopies                    int
	Records, RecordCopies, VoidedRecords int
	DeadLetters                          int
	Violations                           []string
}

func (r *Report) violation(format string, args ...any) {
	r.Violations = append(r.Violations, fmt.Sprintf(format, args...))
}

// maxShown bounds what String says of violations; a broken run has thousands.
const maxShown = 40

func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "orders %d: %d confirmed, %d cancelled\n", r.Orders, r.Confirmed, r.Cancelled)
	fmt.Fprintf(&b, "ledger: %d charges, %d declines, %d refunds\n", r.Charges, r.Declines, r.Refunds)
	fmt.Fprintf(&b, "mails: %d, and %d copies with the same Message-ID\n", r.Mails, r.MailCopies)
	fmt.Fprintf(&b, "log: %d records, %d of them copies, %d void; %d dead letters\n",
		r.Records, r.RecordCopies, r.VoidedRecords, r.DeadLetters)
	fmt.Fprintf(&b, "violations: %d\n", len(r.Violations))
	for _, v := range r.Violations[:min(len(r.Violations), maxShown)] {
		fmt.Fprintf(&b, "  %s\n", v)
	}
	return b.String()
}

// Run checks a system that has come to rest (see Quiet). All orders in it must be among the expected. The error is for what could
// not be looked at; what is wrong is in the report.
func Run(ctx context.Context, s System, expected []Expected) (*Report, error) {
	l, err := ReadLog(ctx, s.Log, s.Partitions)
	if err != nil {
		return nil, err
	}
	r := &Report{Orders: len(expected), Records: l.Records}
	if err := l.protocol(r); err != nil {
		return nil, err
	}
	byID := map[string]Expected{}
	for _, e := range expected {
		byID[e.ID] = e
	}
	for _, id := range slices.Sorted(maps.Keys(l.Orders)) {
		if _, ok := byID[id]; !ok {
			r.violation("order %s is in the log, but nobody was promised it", id)
		}
	}
	for _, e := range expected {
		l.outcome(r, e)
	}
	ledger, err := s.ledger(ctx)
	if err != nil {
		return nil, err
	}
	ledgerAgainst(r, ledger, l, byID)
	mails, err := s.mails(ctx)
	if err != nil {
		return nil, err
	}
	mailAgainst(r, mails, l)
	if err := s.readModel(ctx, r, l, expected); err != nil {
		return nil, err
	}
	slices.Sort(r.Violations)
	return r, nil
}

var client = &http.Client{Timeout: 30 * time.Second}

// get reads a JSON document.
func get(ctx context.Context, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if err := problem.Read(resp); err != nil {
		return fmt.Errorf("GET %s: %w", url, err)
	}
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("GET %s: %w", url, err)
	}
	return json.Unmarshal(raw, into)
}
