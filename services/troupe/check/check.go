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
	// Email is where the order's mails go; empty: not looked at.
	Email string
	// Declined: the payment method is one that the gateway declines.
	Declined bool
	// CancelAsked: a cancellation was answered with 202.
	CancelAsked bool
}

// Log is how the log is read. Plain is one that shares no code with what is checked.
type Log interface {
	// Topic returns every record of a topic, partition by partition in their order.
	Topic(ctx context.Context, topic string, partitions int) ([]broker.Record, error)
	// Ends returns the end offset of every partition of the topics.
	Ends(ctx context.Context, topics []string) (map[broker.TopicPartition]int64, error)
	// Committed returns what a group has committed.
	Committed(ctx context.Context, group string) (map[broker.TopicPartition]int64, error)
}

// PoisonHeader marks records that were appended from outside to be in the way. They are no facts, and to be parked by the
// participants that its value lists, separated by commas.
const PoisonHeader = "poison"

// System is what is looked at.
type System struct {
	Log        Log
	Partitions int
	Orders     *rest.Client
	// Gateway and Mailbox are base URLs of the simulator and the mailbox.
	Gateway, Mailbox string
	// Read reads an order's document from the read model, and Fold makes it from all records of the order: they must be the same.
	Read func(ctx context.Context, id string) (doc any, ok bool, err error)
	Fold func(records []broker.Record) any
	// Parked are orders that poison keeps: they need not settle, and what waits behind the poison is explained.
	Parked map[string]bool
	// Gone are the orders of logs that were there before.
	Gone Gone
}

// Run checks a system that has come to rest (see Quiet). All orders in it must be among the expected. The error is for what could
// not be looked at; what is wrong is in the report.
func Run(ctx context.Context, s System, expected []Expected) (*Report, error) {
	l, err := s.readLog(ctx)
	if err != nil {
		return nil, err
	}
	r := &Report{Orders: len(expected), Records: l.Records, PoisonRecords: len(l.poison),
		log: l, took: map[string]time.Duration{}, ChargesPerOrder: map[int]int{}, RefundsPerCancelled: map[int]int{}, CopiesPerMail: map[int]int{}}
	byID := map[string]Expected{}
	for _, e := range expected {
		byID[e.ID] = e
	}
	if err := l.protocol(r, s.Parked); err != nil {
		return nil, err
	}
	l.order(r)
	l.lettersExplained(r, s.Parked)
	l.requestsClosed(r)
	l.behindLetters(r)
	for _, id := range slices.Sorted(maps.Keys(l.Orders)) {
		if _, ok := byID[id]; !ok {
			r.Violation(Choreography, id, "is in the log, but nobody was promised it")
		}
	}
	for _, e := range expected {
		if s.Parked[e.ID] {
			continue
		}
		l.outcome(r, e)
		if d, ok := l.settleTime(e.ID); ok {
			r.took[e.ID] = d
		}
	}
	r.Settle = r.SettleOf(expected)
	if err := s.effects(ctx, r, l, byID); err != nil {
		return nil, err
	}
	if err := s.readModel(ctx, r, l, expected); err != nil {
		return nil, err
	}
	r.sort()
	return r, nil
}

func (s System) effects(ctx context.Context, r *Report, l *log, expected map[string]Expected) error {
	ledger, err := Ledger(ctx, s.Gateway, "")
	if err != nil {
		return err
	}
	mails, err := s.mails(ctx)
	if err != nil {
		return err
	}
	mails = s.Gone.leave(r, ledger, mails)
	ledgerAgainst(r, ledger, l, expected, s.Parked)
	mailAgainst(r, mails, l, expected)
	return nil
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
