package gateway

import (
	"net/http"
	"regexp"
	"slices"
	"time"

	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/schemas/client"
)

// intentView is a payment intent as the API shows it.
type intentView struct {
	ID                 string            `json:"id"`
	Object             string            `json:"object"`
	Amount             int64             `json:"amount"`
	AmountCapturable   int64             `json:"amount_capturable"`
	AmountReceived     int64             `json:"amount_received"`
	CanceledAt         *int64            `json:"canceled_at"`
	CaptureMethod      string            `json:"capture_method"`
	ConfirmationMethod string            `json:"confirmation_method"`
	Created            int64             `json:"created"`
	Currency           string            `json:"currency"`
	LastPaymentError   *apiError         `json:"last_payment_error"`
	LatestCharge       *string           `json:"latest_charge"`
	Livemode           bool              `json:"livemode"`
	Metadata           map[string]string `json:"metadata"`
	PaymentMethod      *string           `json:"payment_method"`
	PaymentMethodTypes []string          `json:"payment_method_types"`
	Status             string            `json:"status"`
}

func (i *intent) view() *intentView {
	v := &intentView{
		ID: i.ID, Object: "payment_intent", Amount: i.Amount, CaptureMethod: "automatic", ConfirmationMethod: "automatic",
		Created: i.Created.Unix(), Currency: i.Currency, LastPaymentError: i.LastError.shown(), Metadata: i.Metadata,
		PaymentMethod: client.Given(i.Method), PaymentMethodTypes: []string{"card"}, Status: i.Status,
	}
	if v.Metadata == nil {
		v.Metadata = map[string]string{}
	}
	if i.Status == succeeded {
		v.AmountReceived = i.Amount
	}
	if !i.CanceledAt.IsZero() {
		at := i.CanceledAt.Unix()
		v.CanceledAt = &at
	}
	if n := len(i.Charges); n > 0 {
		v.LatestCharge = &i.Charges[n-1].ID
	}
	return v
}

// refundView is a refund as the API shows it.
type refundView struct {
	ID            string            `json:"id"`
	Object        string            `json:"object"`
	Amount        int64             `json:"amount"`
	Charge        string            `json:"charge"`
	Created       int64             `json:"created"`
	Currency      string            `json:"currency"`
	Metadata      map[string]string `json:"metadata"`
	PaymentIntent string            `json:"payment_intent"`
	Status        string            `json:"status"`
}

func (r *refund) view(now time.Time) *refundView {
	v := &refundView{ID: r.ID, Object: "refund", Amount: r.Amount, Charge: r.Charge, Created: r.Created.Unix(), Currency: r.Currency,
		Metadata: r.Metadata, PaymentIntent: r.Intent, Status: r.status(now)}
	if v.Metadata == nil {
		v.Metadata = map[string]string{}
	}
	return v
}

// listing is what a list or search answers with: everything, on one page.
type listing struct {
	Object  string `json:"object"`
	URL     string `json:"url"`
	HasMore bool   `json:"has_more"`
	Data    []any  `json:"data"`
}

func (s *Simulator) getIntent(_ *params, id string, now time.Time) (any, *apiError) {
	if in := s.book.intents[id]; in != nil {
		return in.as(now).view(), nil
	}
	return nil, missing("payment_intent", "intent", id)
}

// searchByOrder is the one search that the simulator knows. Quotes and backslashes inside the value are escaped.
var searchByOrder = regexp.MustCompile(`^metadata\[(?:'order_id'|"order_id")\]:(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")$`)

var escaped = regexp.MustCompile(`\\(.)`)

func (s *Simulator) searchIntents(q *params, _ string, now time.Time) (any, *apiError) {
	m := searchByOrder.FindStringSubmatch(q.get("query"))
	if m == nil {
		return nil, invalid("", "query", "The simulator searches by metadata['order_id']:'…' only.")
	}
	l := listing{Object: "search_result", URL: "/v1/payment_intents/search", Data: []any{}}
	for _, id := range slices.Backward(s.book.byOrder[escaped.ReplaceAllString(m[1]+m[2], "$1")]) {
		l.Data = append(l.Data, s.book.intents[id].as(now).view())
	}
	return l, nil
}

// get answers a GET of the API, with its parameters and the id in its path.
func (s *Simulator) get(look func(q *params, id string, now time.Time) (any, *apiError), allowed ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q, e := readQuery(r, allowed...)
		if e == nil && !pause(r, s.control.Now().delay(), nil) {
			e = unavailable("The simulator stops.")
		}
		if e != nil {
			fail(w, e)
			return
		}
		s.show(w, func(now time.Time) (any, *apiError) { return look(q, httpdoor.Param(r, "id"), now) })
	}
}

// show answers with what look finds under the lock, once the disk knows it too.
func (s *Simulator) show(w http.ResponseWriter, look func(now time.Time) (any, *apiError)) {
	s.mu.Lock()
	body, e := look(s.now())
	number := s.ledger.Last()
	s.mu.Unlock()
	if e == nil && s.ledger.Wait(number) != nil {
		e = unwritable()
	}
	if e != nil {
		fail(w, e)
		return
	}
	reply(w, http.StatusOK, body)
}
