package demo_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/services/troupe/internal/demo"
	"github.com/troupe-dev/troupe/services/troupe/internal/gateway"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

// theatre answers as a playground does in which every order is at its end at once.
type theatre struct {
	mu     sync.Mutex
	orders map[string]map[string]any
	ledger map[string]gateway.LedgerOrder
	// stories are what the log holds.
	stories map[string][]rest.Event
	clock   time.Time
	copies  int // of each mail
	// mailpit: mails are read as Mailpit has them.
	mailpit bool
}

func (s *theatre) place(method string) string {
	id := fmt.Sprintf("order-%d", len(s.orders)+1)
	status, payment, charge := "confirmed", "succeeded", "succeeded"
	if method == "pm_card_chargeDeclined" {
		status, payment, charge = "cancelled", "declined", "failed"
	}
	placed := s.tell(id, "order", "OrderPlaced", "", `{"total":"2500"}`)
	s.ledger[id] = gateway.LedgerOrder{Intents: []gateway.LedgerIntent{{Created: s.clock,
		Charges: []gateway.Charge{{Status: charge, Amount: 2500, At: s.clock}}}}}
	if status == "confirmed" {
		paid := s.tell(id, "payment", "PaymentSucceeded", placed, `{"amount":"2500"}`)
		s.told(id, s.tell(id, "order", "OrderConfirmed", paid, "{}"), "KIND_CONFIRMED")
	} else {
		refused := s.tell(id, "payment", "PaymentDeclined", placed, `{"reason":"card_declined"}`)
		why := `{"reason":"CANCELLATION_REASON_PAYMENT_DECLINED"}`
		s.told(id, s.tell(id, "order", "OrderCancelled", refused, why), "KIND_CANCELLED")
	}
	s.orders[id] = map[string]any{"id": id, "version": 1, "status": status, "total": 2500, "currency": "EUR", "settled": true,
		"payment": map[string]any{"status": payment}, "notifications": []any{mail(id, status)}}
	return id
}

// tell adds an event to the story of an order, and returns its id.
func (s *theatre) tell(id, source, typ, cause, data string) string {
	s.clock = s.clock.Add(time.Millisecond)
	e := rest.Event{
		ID: fmt.Sprint(id, "-", len(s.stories[id])), OrderID: id, Type: "troupe." + source + ".v1." + typ, Source: source,
		Topic: source + ".events.v1", Offset: int64(len(s.stories[id])), Time: s.clock, CausationID: cause, Data: json.RawMessage(data),
	}
	if typ != "OrderCancellationRequested" {
		e.Sequence = 1
		for _, before := range s.stories[id] {
			if before.Topic == e.Topic && before.Sequence > 0 {
				e.Sequence, e.PreviousID = before.Sequence+1, before.ID
			}
		}
	}
	s.stories[id] = append(s.stories[id], e)
	return e.ID
}

func (s *theatre) told(id, cause, kind string) {
	s.tell(id, "notification", "NotificationSent", cause, fmt.Sprintf(`{"kind":%q,"message_id":%q}`, kind, cause))
}

func mail(id, kind string) map[string]any {
	return map[string]any{"kind": kind, "status": "sent", "message_id": id + kind + "@x"}
}

func (s *theatre) cancel(id string) {
	o := s.orders[id]
	o["version"], o["status"], o["payment"] = 2, "cancelled", map[string]any{"status": "refunded"}
	o["notifications"] = []any{mail(id, "confirmed"), mail(id, "cancelled"), mail(id, "refunded")}
	cancelled := s.tell(id, "order", "OrderCancelled", s.tell(id, "order", "OrderCancellationRequested", "", "{}"), "{}")
	s.told(id, cancelled, "KIND_CANCELLED")
	s.ledger[id].Intents[0].Refunds = []gateway.LedgerRefund{{Status: "succeeded", Amount: 2500, At: s.clock}}
	s.told(id, s.tell(id, "payment", "PaymentRefunded", cancelled, `{"amount":"2500"}`), "KIND_REFUNDED")
}

func (s *theatre) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	part := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case r.URL.Path == "/ledger":
		_ = json.NewEncoder(w).Encode(gateway.Ledger{Orders: s.ledger})
	case s.mailpit && r.URL.Path == "/api/messages":
		http.Error(w, "File not found", http.StatusNotFound)
	case s.mailpit && r.URL.Path == "/api/v1/search" && strings.HasPrefix(r.URL.Query().Get("query"), "message-id:order-"):
		fmt.Fprintf(w, `{"total":100,"count":1,"messages_count":%d}`, s.copies)
	case r.URL.Path == "/api/messages":
		fmt.Fprintf(w, `{"total":%d}`, s.copies)
	case r.Method == http.MethodPost && len(part) == 1:
		var o rest.PlaceOrder
		_ = json.NewDecoder(r.Body).Decode(&o)
		fmt.Fprintf(w, `{"id":%q,"consistency_token":"t"}`, s.place(o.PaymentMethod))
	case r.Method == http.MethodPost:
		s.cancel(part[1])
		fmt.Fprintf(w, `{"id":%q,"consistency_token":"t"}`, part[1])
	case len(part) == 2:
		_ = json.NewEncoder(w).Encode(s.orders[part[1]])
	case part[2] == "events":
		_ = json.NewEncoder(w).Encode(rest.Story{OrderID: part[1], Events: s.stories[part[1]]})
	default:
		b, _ := json.Marshal(s.orders[part[1]])
		fmt.Fprintf(w, "event: order\ndata: %s\n\n", b)
	}
}

func perform(t *testing.T, s http.Handler) (bool, string) {
	t.Helper()
	srv := httptest.NewServer(s)
	defer srv.Close()
	return run(t, demo.Demo{Orders: rest.New(srv.URL, srv.URL), Gateway: srv.URL, Mailbox: srv.URL})
}

func run(t *testing.T, d demo.Demo) (bool, string) {
	t.Helper()
	var out strings.Builder
	d.Out = &out
	ok, err := d.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return ok, out.String()
}

func newTheatre() *theatre {
	return &theatre{orders: map[string]map[string]any{}, ledger: map[string]gateway.LedgerOrder{},
		stories: map[string][]rest.Event{}, clock: time.Unix(1000, 0).UTC(), copies: 1}
}

func TestSaysThatAllIsTrue(t *testing.T) {
	ok, out := perform(t, newTheatre())
	if !ok || strings.Count(out, "✓") != 12 || !strings.Contains(out, "All of it is.") {
		t.Errorf("ok = %v\n%s", ok, out)
	}
}

// Each row makes one thing untrue at the end; the demo must say so.
func TestSaysWhatIsNot(t *testing.T) {
	for name, tt := range map[string]struct {
		lie  func(s *theatre)
		says string
	}{
		"charged twice": {func(s *theatre) {
			in := &s.ledger["order-1"].Intents[0]
			in.Charges = append(in.Charges, in.Charges[0])
		}, "✗ 1. ledger"},
		"declined and charged": {func(s *theatre) { s.ledger["order-2"].Intents[0].Charges[0].Status = "succeeded" }, "✗ 2. ledger"},
		"not refunded":         {func(s *theatre) { s.ledger["order-3"].Intents[0].Refunds = nil }, "✗ 3. ledger"},
		"decided twice":        {func(s *theatre) { s.tell("order-1", "order", "OrderConfirmed", "again", "{}") }, "✗ 1. log"},
		"not told":             {func(s *theatre) { s.stories["order-2"] = s.stories["order-2"][:3] }, "✗ 2. log"},
		"mails lost":           {func(s *theatre) { s.copies = 0 }, "✗ 1. mailbox"},
	} {
		s := newTheatre()
		lying := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/ledger" || r.URL.Path == "/api/messages" || strings.HasSuffix(r.URL.Path, "/events") {
				s.mu.Lock()
				if len(s.orders) == 3 { // all have been placed
					tt.lie(s)
				}
				s.mu.Unlock()
			}
			s.ServeHTTP(w, r)
		})
		if ok, out := perform(t, lying); ok || !strings.Contains(out, tt.says) || !strings.Contains(out, "Not all of it is.") {
			t.Errorf("%s: ok = %v\n%s", name, ok, out)
		}
	}
}

// One mail too many, with a Message-ID of its own, is as wrong as one too few.
func TestCountsMailsByMessageID(t *testing.T) {
	s := newTheatre()
	twice := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.ServeHTTP(w, r)
		s.mu.Lock()
		defer s.mu.Unlock()
		if o := s.orders["order-1"]; o != nil {
			o["notifications"] = []any{mail("order-1", "confirmed"), mail("order-1 again", "confirmed")}
		}
	})
	if ok, out := perform(t, twice); ok || !strings.Contains(out, "✗ 1. mailbox") {
		t.Errorf("ok = %v\n%s", ok, out)
	}
}

// The demo stack catches mails in Mailpit.
func TestCountsMailsInMailpit(t *testing.T) {
	for copies, holds := range map[int]bool{0: false, 1: true} {
		s := newTheatre()
		s.mailpit, s.copies = true, copies
		if ok, out := perform(t, s); ok != holds || !holds && !strings.Contains(out, "✗ 1. mailbox") {
			t.Errorf("%d of each: ok = %v\n%s", copies, ok, out)
		}
	}
}

// What nobody said the address of is not looked at, and said to be so.
func TestLooksWhereItIsTold(t *testing.T) {
	srv := httptest.NewServer(newTheatre())
	defer srv.Close()
	ok, out := run(t, demo.Demo{Orders: rest.New(srv.URL, srv.URL)})
	if !ok || strings.Count(out, "✓") != 6 || !strings.Contains(out, "ledger was not looked at") ||
		!strings.Contains(out, "mailbox was not looked at") {
		t.Errorf("ok = %v\n%s", ok, out)
	}
}
