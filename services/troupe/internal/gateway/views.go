package gateway

import (
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/troupe-dev/troupe/pkg/httpdoor"
)

// intentView is a payment intent as the API shows it.
type intentView struct {
	ID                 string            `json:"id"`
	Object             string            `json:"object"`
	Amount             int64             `json:"amount"`
	AmountCapturable   int64             `json:"amount_capturable"`
	AmountReceived     int64             `json:"amount_received"`
	CanceledAt         *int64            `json:"canceled_at"`
	CancellationReason *string           `json:"cancellation_reason"`
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
		CancellationReason: text(i.CancelWhy), PaymentMethod: text(i.Method), PaymentMethodTypes: []string{"card"}, Status: i.Status,
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

// text is nil, so null, when empty.
func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
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
	Reason        *string           `json:"reason"`
	Status        string            `json:"status"`
}

func (r *refund) view(now time.Time) *refundView {
	v := &refundView{ID: r.ID, Object: "refund", Amount: r.Amount, Charge: r.Charge, Created: r.Created.Unix(), Currency: r.Currency,
		Metadata: r.Metadata, PaymentIntent: r.Intent, Reason: text(r.Reason), Status: r.status(now)}
	if v.Metadata == nil {
		v.Metadata = map[string]string{}
	}
	return v
}

// listing is what a list or search answers with.
type listing struct {
	Object  string `json:"object"`
	URL     string `json:"url"`
	HasMore bool   `json:"has_more"`
	Data    []any  `json:"data"`
}

// newest makes a page of ids, given oldest first, that follow startingAfter in the order newest first.
func newest(url string, ids []string, startingAfter string, limit int64, show func(id string) any) (any, *apiError) {
	end := len(ids)
	if startingAfter != "" {
		if end = slices.Index(ids, startingAfter); end < 0 {
			return nil, missing("object", "starting_after", startingAfter)
		}
	}
	p := listing{Object: "list", URL: url, Data: []any{}}
	for n := end - 1; n >= 0; n-- {
		if int64(len(p.Data)) == limit {
			p.HasMore = true
			break
		}
		p.Data = append(p.Data, show(ids[n]))
	}
	return p, nil
}

func (s *Simulator) getIntent(w http.ResponseWriter, r *http.Request) {
	s.read(w, func(now time.Time) (any, *apiError) {
		if _, e := readQuery(r); e != nil {
			return nil, e
		}
		id := httpdoor.Param(r, "id")
		if in := s.book.intents[id]; in != nil {
			return in.as(now).view(), nil
		}
		return nil, missing("payment_intent", "intent", id)
	})
}

func (s *Simulator) listIntents(w http.ResponseWriter, r *http.Request) {
	s.read(w, func(now time.Time) (any, *apiError) {
		p, e := readQuery(r, "limit", "starting_after")
		if e != nil {
			return nil, e
		}
		limit, e := p.integer("limit", 1, maxPage, defaultPage)
		if e != nil {
			return nil, e
		}
		return newest("/v1/payment_intents", s.book.order, p.get("starting_after"), limit,
			func(id string) any { return s.book.intents[id].as(now).view() })
	})
}

// searchByOrder is the one search that the simulator knows. Quotes and backslashes inside the value are escaped.
var searchByOrder = regexp.MustCompile(`^metadata\[(?:'order_id'|"order_id")\]:(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")$`)

var escaped = regexp.MustCompile(`\\(.)`)

func (s *Simulator) searchIntents(w http.ResponseWriter, r *http.Request) {
	s.read(w, func(now time.Time) (any, *apiError) {
		p, e := readQuery(r, "query", "limit", "page")
		if e != nil {
			return nil, e
		}
		m := searchByOrder.FindStringSubmatch(p.get("query"))
		if m == nil {
			return nil, invalid("", "query", "The simulator searches by metadata['order_id']:'…' only.")
		}
		limit, e := p.integer("limit", 1, maxPage, defaultPage)
		if e != nil {
			return nil, e
		}
		skip, e := p.integer("page", 0, 1<<31, 0)
		if e != nil {
			return nil, e
		}
		ids := slices.Clone(s.book.byOrder[escaped.ReplaceAllString(m[1]+m[2], "$1")])
		slices.Reverse(ids)
		ids = ids[min(int(skip), len(ids)):]
		result := struct {
			listing
			NextPage *string `json:"next_page"`
		}{listing: listing{Object: "search_result", URL: "/v1/payment_intents/search", Data: []any{}}}
		if result.HasMore = int64(len(ids)) > limit; result.HasMore {
			ids = ids[:limit]
			result.NextPage = text(strconv.FormatInt(skip+limit, 10))
		}
		for _, id := range ids {
			result.Data = append(result.Data, s.book.intents[id].as(now).view())
		}
		return result, nil
	})
}

// read answers a GET of the API with what look finds under the lock, once the disk knows it too.
func (s *Simulator) read(w http.ResponseWriter, look func(now time.Time) (any, *apiError)) {
	if !s.pause(s.switches().delay()) {
		fail(w, unavailable("The simulator stops."))
		return
	}
	s.mu.Lock()
	body, e := look(s.now())
	number := s.ledger.Last()
	s.mu.Unlock()
	if e == nil && s.ledger.Wait(number) != nil {
		e = &apiError{Status: http.StatusInternalServerError, Type: typeAPI, Message: "The ledger cannot be written."}
	}
	if e != nil {
		fail(w, e)
		return
	}
	reply(w, http.StatusOK, body)
}
