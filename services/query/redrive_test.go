package query_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	paymentv1 "github.com/troupe-dev/troupe/schemas/gen/payment/v1"
	"github.com/troupe-dev/troupe/services/query/internal/querytest"
	"google.golang.org/protobuf/proto"
)

// till takes money for orders, except in currencies that it does not take; it takes euros, and more when it is told to.
type till struct {
	mu    sync.Mutex
	taken map[string]bool
	fixed bool
}

func (c *till) react(_ context.Context, paid int, m event.Message) (proto.Message, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch b := m.Body.(type) {
	case *orderv1.OrderPlaced:
		if b.GetCurrency() != "EUR" && !c.fixed {
			return nil, fault.New(fault.Invalid, "no account takes %s", b.GetCurrency())
		}
		c.taken[m.Subject] = true
		return &paymentv1.PaymentSucceeded{PaymentIntentId: "pi_1", Amount: b.GetTotal(), Currency: b.GetCurrency()}, nil
	case *orderv1.OrderCancelled:
		if paid > 0 {
			return &paymentv1.PaymentRefunded{RefundId: "re_1", PaymentIntentId: "pi_1", Amount: b.GetTotal()}, nil
		}
	}
	return nil, nil
}

// pay runs a participant named payment on the service's broker and store, until the test ends.
func (s *service) pay(c *till) {
	s.t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: s.cfg.Redis.Addrs[0]})
	p := participant.New(participant.Behavior[int]{
		Name: "payment", FoldVersion: 1,
		Subscribes: []participant.Subscription{{Topic: "order.events.v1", Types: []string{event.TypeOf(&orderv1.OrderPlaced{}), event.TypeOf(&orderv1.OrderCancelled{})}}},
		React:      c.react,
		Evolve:     func(paid int, _ event.Message) int { return paid + 1 },
	}, participant.Config{Log: s.log, Redis: rdb, Partitions: querytest.Partitions})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	s.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			s.t.Errorf("payment: %v", err)
		}
		_ = rdb.Close()
	})
}

// place makes the first event of an order in a currency.
func (s *service) place(name, currency string) broker.Record {
	return s.Next(0, querytest.ID(name), &orderv1.OrderPlaced{CustomerId: "c-1", Email: querytest.Email, Currency: currency, Total: 2500}, broker.Record{})
}

// ask sends a request to the operators' door.
func (s *service) ask(method, path, body string) (code int, answer map[string]any) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.console+"/api/dead-letters"+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Prefer", "wait=30")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp.StatusCode, answer
}

// waits until so many letters wait.
func (s *service) waiting(n int) {
	s.t.Helper()
	querytest.Eventually(s.t, func() string {
		if _, g := s.ask("GET", "/groups", ""); fmt.Sprint(g["letters"]) != fmt.Sprint(n) {
			return fmt.Sprintf("%v, not %d letters", g, n)
		}
		return ""
	})
}

// What a participant parks comes back through the operators' door: after a fix, with another payload, or not at all.
func TestWhatIsParkedComesBack(t *testing.T) {
	s := start(t)
	c := &till{taken: map[string]bool{}}
	s.pay(c)
	s.open()
	good, edit, drop, fix := s.place("good", "EUR"), s.place("edit", "XXX"), s.place("drop", "XXX"), s.place("fix", "JPY")
	cancelled := func(cause broker.Record) broker.Record {
		return s.Next(0, string(cause.Key), &orderv1.OrderCancelled{Currency: "EUR", Total: 2500}, cause)
	}
	s.put(good, edit, drop, fix, cancelled(edit), cancelled(fix))
	s.waiting(5)
	head := func(r broker.Record) string {
		e, err := event.FromRecord(r)
		if err != nil {
			t.Fatal(err)
		}
		return e.ID
	}
	path := func(r broker.Record) string { return "/payment/" + string(r.Key) }
	const by = `"by":"grace","reason":"the bank said so"`

	// It fails again, and says why.
	code, a := s.ask("POST", path(fix)+"/redrive", `{`+by+`}`)
	if code != 200 || a["state"] != "failed" || a["message"] != "no account takes JPY" || a["class"] != "invalid" || a["letter_id"] != head(fix) {
		t.Errorf("%d %v", code, a)
	}
	// With another payload it comes back, and what stands behind it after it.
	payload := `{"customer_id":"c-1","email":"ada@example.com","currency":"EUR","total":"2500"}`
	code, a = s.ask("POST", path(edit)+"/edit", `{`+by+`,"letter_id":"`+head(edit)+`","payload":`+payload+`}`)
	if code != 200 || a["state"] != "done" || a["redriven"] != 2.0 {
		t.Errorf("%d %v", code, a)
	}
	if code, a = s.ask("POST", path(drop)+"/discard", `{`+by+`,"letter_id":"`+head(drop)+`"}`); code != 200 || a["state"] != "done" {
		t.Errorf("%d %v", code, a)
	}
	s.waiting(2)
	// After the fix, all that waits.
	c.mu.Lock()
	c.fixed = true
	c.mu.Unlock()
	code, job := s.ask("POST", "/redrive", `{`+by+`,"class":"invalid"}`)
	if code != 202 || job["total"] != 1.0 {
		t.Fatalf("%d %v", code, job)
	}
	querytest.Eventually(t, func() string {
		if _, job = s.ask("GET", "/jobs/"+fmt.Sprint(job["id"]), ""); job["state"] != "finished" || job["done"] != 1.0 {
			return fmt.Sprint(job)
		}
		return ""
	})
	s.waiting(0)
	for r, want := range map[*broker.Record]string{&good: "pending", &edit: "refunded", &fix: "refunded", &drop: "pending"} {
		if r == &good {
			want = "succeeded"
		}
		querytest.Eventually(t, func() string {
			if _, body := s.get("/orders/" + string(r.Key)); !strings.Contains(body, `"status":"`+want+`"`) {
				return want + ": " + body
			}
			return ""
		})
	}
	_, chain := s.ask("GET", path(fix), "")
	if outcomes, _ := chain["outcomes"].([]any); len(outcomes) != 7 || fmt.Sprint(chain["waiting"]) != "0" { // 2 requests, failed, closed, 2 redriven, closed
		t.Errorf("%v", chain)
	}
	// Redis forgets everything; what was done is told again.
	rdb := redis.NewClient(&redis.Options{Addr: s.cfg.Redis.Addrs[0]})
	defer func() { _ = rdb.Close() }()
	if err := rdb.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	querytest.Eventually(t, func() string {
		if code, log := s.ask("GET", "/log", ""); code != 200 || len(log["entries"].([]any)) != 14 {
			return fmt.Sprint(code, log)
		}
		return ""
	})
	s.waiting(0)
	if code, body := s.get("/orders/" + string(fix.Key) + "/events"); code != 200 || strings.Count(body, `"kind":"dead_letter"`) != 2 ||
		strings.Count(body, `"kind":"redriven"`) != 2 || strings.Contains(body, "ada@") {
		t.Errorf("%d %s", code, body)
	}
}
