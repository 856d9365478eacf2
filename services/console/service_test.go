package console_test

import (
	"net"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/pkg/config"
	"github.com/troupe-dev/troupe/pkg/taskstore/storetest"
	"github.com/troupe-dev/troupe/services/console"
	parked "github.com/troupe-dev/troupe/services/console/internal/letters"

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
	"github.com/troupe-dev/troupe/pkg/view/viewtest"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	paymentv1 "github.com/troupe-dev/troupe/schemas/gen/payment/v1"
	"github.com/troupe-dev/troupe/schemas/storiestest"
	"github.com/troupe-dev/troupe/services/console/internal/consoletest"
	"google.golang.org/protobuf/proto"
)

// service is a running console on an empty broker and store, without query.
type service struct {
	*consoletest.Writer
	t       *testing.T
	console string // where operators ask
	log     *broker.Client
	cfg     console.Config
}

func start(t *testing.T) *service {
	t.Helper()
	cfg, err := config.Load[console.Config]([]string{"QUERY_URL=http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Kafka, cfg.Redis.Addrs = brokertest.Fresh(t), []string{storetest.Addr(t)}
	cfg.HTTPAddr, cfg.ConsoleAddr, cfg.Partitions = "127.0.0.1:0", "127.0.0.1:0", viewtest.Partitions
	log, err := broker.Open(cfg.Kafka)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	s := &service{Writer: consoletest.NewWriter(), t: t, log: log, cfg: cfg}
	listening := make(chan net.Addr, 1)
	s.cfg.Listening = func(operators net.Addr) { listening <- operators }
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- console.Run(ctx, s.cfg) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	select {
	case a := <-listening:
		s.console = "http://" + a.String()
	case err := <-ended:
		ended <- err
		t.Fatalf("did not start: %v", err)
	}
	return s
}

// open makes the topics that the service waits for.
func (s *service) open() {
	s.t.Helper()
	var topics []broker.Topic
	for _, name := range consoletest.Topics {
		topics = append(topics, broker.Topic{Name: name, Partitions: viewtest.Partitions, Retention: 30 * 24 * time.Hour})
	}
	for _, name := range parked.Notes {
		topics = append(topics, broker.Topic{Name: name, Partitions: viewtest.Partitions, MaxBytes: 2 << 20}) // as their owners make them
	}
	if err := s.log.Provision(s.t.Context(), topics); err != nil {
		s.t.Fatal(err)
	}
}

// put produces records one by one.
func (s *service) put(records ...broker.Record) {
	s.t.Helper()
	for _, r := range records {
		tp := broker.TopicPartition{Topic: r.Topic, Partition: r.Partition}
		viewtest.Eventually(s.t, func() (failed string) {
			s.log.Produce(s.t.Context(), []broker.Batch{{TopicPartition: tp, Records: []broker.Record{r}}}, func(p broker.Produced) {
				if p.Err != nil {
					failed = p.Err.Error() // right after a topic is made, a leader may not know it yet
				}
			})
			return failed
		})
	}
}

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
	}, participant.Config{Log: s.log, Redis: rdb, Partitions: viewtest.Partitions})
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
	return s.Fact("order", viewtest.ID(name), &orderv1.OrderPlaced{CustomerId: "c-1", Email: storiestest.Email, Currency: currency, Total: 2500}, broker.Record{})
}

// ask sends a request to the console.
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
	viewtest.Eventually(s.t, func() string {
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
		return s.Fact("order", string(cause.Key), &orderv1.OrderCancelled{Currency: "EUR", Total: 2500}, cause)
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
	// After the fix.
	c.mu.Lock()
	c.fixed = true
	c.mu.Unlock()
	if code, a = s.ask("POST", path(fix)+"/redrive", `{`+by+`}`); code != 200 || a["state"] != "done" {
		t.Errorf("%d %v", code, a)
	}
	s.waiting(0)
	c.mu.Lock()
	for r, taken := range map[*broker.Record]bool{&good: true, &edit: true, &fix: true, &drop: false} {
		if c.taken[string(r.Key)] != taken {
			t.Errorf("%s: taken %t", r.Key, !taken)
		}
	}
	c.mu.Unlock()
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
	viewtest.Eventually(t, func() string {
		if code, log := s.ask("GET", "/log", ""); code != 200 || len(log["entries"].([]any)) != 14 {
			return fmt.Sprint(code, log)
		}
		return ""
	})
	s.waiting(0)
}

func TestWrongVariablesAreNamed(t *testing.T) {
	for _, variable := range []string{
		"RETENTION=1m", "PARTITIONS=0", "DRAIN=-1s", "QUERY_URL=query:8084", "CONSOLE_HOSTS=A", "CONSOLE_GATEWAY_URL=gateway:1",
		"CONSOLE_MAILBOX_URL=http://", "CONSOLE_CONTROL_URL=http://127.0.0.1:1?x",
	} {
		_, err := config.Load[console.Config]([]string{variable})
		if name, _, _ := strings.Cut(variable, "="); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", variable, err)
		}
	}
}
