package gateway

import (
	"errors"
	"slices"
	"time"
)

// Statuses of intents, charges and refunds, as Stripe names them.
const (
	requiresPaymentMethod = "requires_payment_method"
	requiresConfirmation  = "requires_confirmation"
	requiresAction        = "requires_action"
	processing            = "processing"
	succeeded             = "succeeded"
	canceled              = "canceled"
	pending               = "pending"
	failed                = "failed"
)

// intent is a payment intent as it is after a change. It is never changed, only replaced.
type intent struct {
	ID         string            `json:"id"`
	Amount     int64             `json:"amount"`
	Currency   string            `json:"currency"`
	Metadata   map[string]string `json:"metadata,omitempty"`
	Method     string            `json:"method,omitempty"`
	Status     string            `json:"status"`
	Created    time.Time         `json:"created"`
	CanceledAt time.Time         `json:"canceled_at,omitzero"`
	// SettlesAt is when an intent that is processing succeeds.
	SettlesAt time.Time `json:"settles_at,omitzero"`
	LastError *apiError `json:"last_error,omitempty"`
	Charges   []Charge  `json:"charges,omitempty"`
}

type refund struct {
	ID        string            `json:"id"`
	Intent    string            `json:"intent"`
	Charge    string            `json:"charge"`
	Amount    int64             `json:"amount"`
	Currency  string            `json:"currency"`
	Metadata  map[string]string `json:"metadata,omitempty"`
	Created   time.Time         `json:"created"`
	SettlesAt time.Time         `json:"settles_at,omitzero"` // pending until then; zero: succeeded at once
}

// answer is the first answer to an idempotency key. What it shows is the entry's intent or refund as it was then.
type answer struct {
	Key   string    `json:"key"`
	Print string    `json:"print"` // what was asked
	Error *apiError `json:"error,omitempty"`
}

// entry is one line of the ledger: a change together with the answer that was given for it, so that neither is ever known
// without the other.
type entry struct {
	At     time.Time `json:"at"`
	Answer *answer   `json:"answer,omitempty"`
	Intent *intent   `json:"intent,omitempty"`
	Refund *refund   `json:"refund,omitempty"`

	number uint64 // in the ledger; 0: it was read from there
}

// book is everything the ledger says, in memory.
type book struct {
	intents  map[string]*intent
	byOrder  map[string][]string // ids of intents as they were created
	refunds  map[string]*refund
	ofIntent map[string][]string // ids of refunds as they were created
	answers  map[string]*entry   // by idempotency key
}

func newBook() *book {
	return &book{
		intents: map[string]*intent{}, byOrder: map[string][]string{}, refunds: map[string]*refund{},
		ofIntent: map[string][]string{}, answers: map[string]*entry{},
	}
}

// replay takes over an entry of the ledger.
func (b *book) replay(e entry) error {
	if e.Intent == nil && e.Refund == nil && e.Answer == nil {
		return errors.New("it says nothing")
	}
	b.apply(e)
	return nil
}

// apply takes over an entry that is decided.
func (b *book) apply(e entry) {
	if i := e.Intent; i != nil {
		if b.intents[i.ID] == nil {
			b.byOrder[i.orderID()] = append(b.byOrder[i.orderID()], i.ID)
		}
		b.intents[i.ID] = i
	}
	if r := e.Refund; r != nil {
		b.refunds[r.ID] = r
		b.ofIntent[r.Intent] = append(b.ofIntent[r.Intent], r.ID)
	}
	if a := e.Answer; a != nil {
		b.answers[a.Key] = &e
	}
}

// answer is the entry with the first answer to a key that is not forgotten, or nil.
func (b *book) answer(key string, now time.Time) *entry {
	if e := b.answers[key]; e != nil && now.Sub(e.At) <= keysKeptFor {
		return e
	}
	return nil
}

// orderID is the order that the intent is for, by its metadata; empty when it does not say.
func (i *intent) orderID() string { return i.Metadata["order_id"] }

// as is the intent as it is at a moment: what was processing may have succeeded.
func (i *intent) as(now time.Time) *intent {
	if i.Status != processing || now.Before(i.SettlesAt) {
		return i
	}
	done := *i
	done.Status, done.SettlesAt = succeeded, time.Time{}
	done.Charges = slices.Clone(i.Charges)
	done.Charges[len(done.Charges)-1].Status = succeeded
	return &done
}

// paid is the charge that took the money, or nil.
func (i *intent) paid() *Charge {
	for n := range i.Charges {
		if i.Charges[n].Status == succeeded {
			return &i.Charges[n]
		}
	}
	return nil
}

func (r *refund) status(now time.Time) string {
	if now.Before(r.SettlesAt) {
		return pending
	}
	return succeeded
}
