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

// recentMax bounds what the page shows.
const recentMax = 50

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
	CancelWhy  string            `json:"cancel_why,omitempty"`
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
	Reason    string            `json:"reason,omitempty"`
	Metadata  map[string]string `json:"metadata,omitempty"`
	Created   time.Time         `json:"created"`
	SettlesAt time.Time         `json:"settles_at,omitzero"` // pending until then; zero: succeeded at once
}

// answer is the first answer to an idempotency key. What it shows is the entry's intent or refund as it was then.
type answer struct {
	Key    string    `json:"key"`
	Print  string    `json:"print"` // what was asked
	Error  *apiError `json:"error,omitempty"`
	at     time.Time
	number uint64
	intent *intent
	refund *refund
}

// entry is one line of the ledger: a change together with the answer that was given for it, so that neither is ever known
// without the other.
type entry struct {
	At     time.Time `json:"at"`
	Answer *answer   `json:"answer,omitempty"`
	Intent *intent   `json:"intent,omitempty"`
	Refund *refund   `json:"refund,omitempty"`
}

// movement is one line of the page.
type movement struct {
	At                                        time.Time
	Kind, OrderID, Intent, ID, Currency, What string
	Amount                                    int64
}

// book is everything the ledger says, in memory.
type book struct {
	intents  map[string]*intent
	byOrder  map[string][]string // ids of intents as they were created
	refunds  map[string]*refund
	ofIntent map[string][]string // ids of refunds as they were created
	answers  map[string]*answer
	expiry   []*answer // as they were given
	recent   []movement
}

func newBook() *book {
	return &book{
		intents: map[string]*intent{}, byOrder: map[string][]string{}, refunds: map[string]*refund{},
		ofIntent: map[string][]string{}, answers: map[string]*answer{},
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
		old := b.intents[i.ID]
		if old == nil {
			b.byOrder[i.orderID()] = append(b.byOrder[i.orderID()], i.ID)
		}
		b.intents[i.ID] = i
		b.noteIntent(old, i, e.At)
	}
	if r := e.Refund; r != nil {
		b.refunds[r.ID] = r
		b.ofIntent[r.Intent] = append(b.ofIntent[r.Intent], r.ID)
		b.note(movement{At: e.At, Kind: "refund", OrderID: b.intents[r.Intent].orderID(), Intent: r.Intent, ID: r.ID,
			Currency: r.Currency, Amount: r.Amount, What: r.status(e.At)})
	}
	if a := e.Answer; a != nil {
		a.at, a.intent, a.refund = e.At, e.Intent, e.Refund
		b.answers[a.Key] = a
		b.expiry = append(b.expiry, a)
	}
}

// forget drops answers given before a moment.
func (b *book) forget(before time.Time) {
	n := 0
	for n < len(b.expiry) && b.expiry[n].at.Before(before) {
		if a := b.expiry[n]; b.answers[a.Key] == a {
			delete(b.answers, a.Key)
		}
		b.expiry[n] = nil
		n++
	}
	b.expiry = b.expiry[n:]
}

func (b *book) noteIntent(old, i *intent, at time.Time) {
	m := movement{At: at, OrderID: i.orderID(), Intent: i.ID, ID: i.ID, Currency: i.Currency, Amount: i.Amount}
	switch {
	case old != nil && len(i.Charges) > len(old.Charges):
		c := i.Charges[len(i.Charges)-1]
		m.Kind, m.ID, m.What = "charge", c.ID, c.Status
		if c.Reason != "" {
			m.What += ": " + c.Reason
		}
		b.note(m)
	case i.Status == canceled && (old == nil || old.Status != canceled):
		m.Kind, m.What = "cancel", canceled
		b.note(m)
	}
}

func (b *book) note(m movement) {
	if len(b.recent) == recentMax {
		b.recent = slices.Delete(b.recent, 0, 1)
	}
	b.recent = append(b.recent, m)
}

// orderID is the order that the intent is for, by its metadata; empty when it does not say.
func (i *intent) orderID() string {
	if i == nil {
		return ""
	}
	return i.Metadata["order_id"]
}

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
