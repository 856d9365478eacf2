package pulse_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/view/viewtest"
	notificationv1 "github.com/troupe-dev/troupe/schemas/gen/notification/v1"
	"github.com/troupe-dev/troupe/schemas/storiestest"
	"github.com/troupe-dev/troupe/services/console/internal/pulse"
)

// money is what a gateway's ledger has of an order.
type money struct {
	charges, refunds []int64
}

// gateway answers as the simulator does.
func (s *stage) gateway(ledger map[string]money) {
	type moved struct {
		Status string `json:"status"`
		Amount int64  `json:"amount"`
	}
	type intent struct {
		Charges []moved `json:"charges"`
		Refunds []moved `json:"refunds"`
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.URL.Query().Get("order_id")
		in := intent{Charges: []moved{{"failed", 2500}}}
		for _, amount := range ledger[id].charges {
			in.Charges = append(in.Charges, moved{"succeeded", amount})
		}
		for _, amount := range ledger[id].refunds {
			in.Refunds = append(in.Refunds, moved{"pending", amount})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"orders": map[string]any{id: map[string]any{"intents": []intent{in}}}})
	}))
	s.T.Cleanup(srv.Close)
	s.cfg.Playground.Gateway = srv.URL
}

func TestTheGatewayIsTheJudgeOfCharges(t *testing.T) {
	confirmed, declined, refunded := viewtest.ID("a"), viewtest.ID("b"), viewtest.ID("c")
	right := func() map[string]money {
		return map[string]money{confirmed: {charges: []int64{2500}}, refunded: {charges: []int64{2500}, refunds: []int64{2500}}}
	}
	s := open(t)
	s.want("charges", pulse.Unchecked, "cannot be asked")
	s.Put(s.Confirmed(confirmed, "c-1")...)
	s.Put(s.Declined(declined, "c-1")...)
	s.Put(s.Refunded(refunded, "c-1")...)
	s.gateway(right())
	s.want("charges", pulse.Holds, "2 charges and 1 refund at")
	for says, tt := range map[string]struct {
		order string
		money money
	}{
		"charged twice":                   {confirmed, money{charges: []int64{2500, 2500}}},
		"never charged, says the gateway": {confirmed, money{}},
		"charged another sum":             {confirmed, money{charges: []int64{2400}}},
		"charged, though declined":        {declined, money{charges: []int64{2500}}},
		"never refunded":                  {refunded, money{charges: []int64{2500}}},
		"refunded twice":                  {refunded, money{charges: []int64{2500}, refunds: []int64{2500, 2500}}},
		"refunded another sum":            {refunded, money{charges: []int64{2500}, refunds: []int64{1}}},
	} {
		ledger := right()
		ledger[tt.order] = tt.money
		s.gateway(ledger)
		s.want("charges", pulse.Broken, says, tt.order)
	}
	s.cfg.Playground.Gateway = "http://127.0.0.1:1"
	s.want("charges", pulse.Unchecked, "does not answer")
}

// A charge that is not in the log yet is no contradiction.
func TestTheGatewayMayKnowFirst(t *testing.T) {
	s := open(t)
	id := viewtest.ID("a")
	placed := s.Placed(id, "c-1")
	s.Put(placed)
	s.hold("payment", placed)
	s.gateway(map[string]money{id: {charges: []int64{2500}}})
	s.want("charges", pulse.Holds, "1 charge and 0 refunds")
}

// A second charge that comes later, with nothing new in the log, is found too.
func TestOrdersAreLookedUpAgain(t *testing.T) {
	s := open(t)
	id := viewtest.ID("a")
	s.Put(s.Confirmed(id, "c-1")...)
	ledger := map[string]money{id: {charges: []int64{2500}}}
	twice := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		charge := map[string]any{"status": "succeeded", "amount": ledger[id].charges[0]}
		charges := []any{charge}
		select {
		case <-twice:
			charges = append(charges, charge)
		default:
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"orders": map[string]any{id: map[string]any{"intents": []any{map[string]any{"charges": charges}}}}})
	}))
	t.Cleanup(srv.Close)
	s.cfg.Playground.Gateway = srv.URL
	p := pulse.New(s.cfg)
	s.Run(p.Run)
	charges(t, p, pulse.Holds)
	close(twice)
	charges(t, p, pulse.Broken)
}

// charges waits until the verdict on charges is that.
func charges(t *testing.T, p *pulse.Pulse, state pulse.State) {
	t.Helper()
	for late := time.After(20 * time.Second); ; {
		got, fresh := p.Look(t.Context())
		if got.Invariants[1].State == state {
			return
		}
		select {
		case <-fresh:
		case <-late:
			t.Fatalf("it stays %+v", got.Invariants)
		}
	}
}

// Nobody says that charges hold before every order was looked up once: a double charge may be among the others.
func TestChargesHoldOnceAllAreLookedUp(t *testing.T) {
	s := open(t)
	ledger := map[string]money{}
	for i := range 250 {
		id := viewtest.ID(fmt.Sprint(i))
		ledger[id] = money{charges: []int64{2500}}
		s.Put(s.Confirmed(id, "c-1")...)
	}
	s.gateway(ledger)
	s.want("charges", pulse.Unchecked, "of 250 orders looked up")
	p := pulse.New(s.cfg)
	s.Run(p.Run)
	charges(t, p, pulse.Holds)
}

type mail struct {
	ID        int       `json:"id"`
	MessageID string    `json:"message_id"`
	Received  time.Time `json:"received_at"`
}

// mailbox answers as the playground's does, two mails a page.
func (s *stage) mailbox(mails ...mail) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var after int
		_ = json.Unmarshal([]byte(r.URL.Query().Get("after")), &after)
		page := map[string]any{"messages": mails[after:min(after+2, len(mails))]}
		if after+2 < len(mails) {
			page["next_after"] = after + 2
		}
		_ = json.NewEncoder(w).Encode(page)
	}))
	s.T.Cleanup(srv.Close)
	s.cfg.Playground.Mailbox = srv.URL
}

func TestTheMailboxIsTheJudgeOfMails(t *testing.T) {
	s := open(t)
	s.Clock = s.Clock.Add(-time.Minute)
	s.want("mails", pulse.Unchecked, "cannot be asked")
	a, b := viewtest.ID("a"), viewtest.ID("b")
	s.Put(s.Confirmed(a, "c-1")...)
	s.Put(s.Declined(b, "c-1")...)
	at := time.Now().Add(-30 * time.Second)
	one := mail{1, storiestest.MessageID(a, notificationv1.Kind_KIND_CONFIRMED), at}
	two := mail{2, storiestest.MessageID(b, notificationv1.Kind_KIND_CANCELLED), at}
	s.mailbox(one, two)
	s.want("mails", pulse.Holds, "2 mails in the mailbox")
	s.mailbox(one, two, mail{3, one.MessageID, at})
	s.want("mails", pulse.Holds, "1 again, with the same Message-ID")
	s.mailbox(one)
	s.want("mails", pulse.Broken, "1 order without their mail", b)
	s.mailbox(one, two, mail{3, "stranger@troupe.example", at})
	s.want("mails", pulse.Broken, "1 mail that the log does not know")
	s.mailbox(one, two, mail{3, "before@troupe.example", at.Add(-time.Hour)})
	s.want("mails", pulse.Holds, "2 mails")

	// While something is in flight a mail may be ahead of its fact.
	placed := s.Placed(viewtest.ID("c"), "c-1")
	s.Put(placed)
	s.hold("notification", placed)
	s.mailbox(one, two, mail{3, "ahead@troupe.example", at})
	s.want("mails", pulse.Holds, "2 mails")
	s.cfg.Playground.Mailbox = "http://127.0.0.1:1"
	s.want("mails", pulse.Unchecked, "does not answer")
}
