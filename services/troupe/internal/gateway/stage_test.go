package gateway

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/config"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	paymentv1 "github.com/troupe-dev/troupe/schemas/gen/payment/v1"
	"github.com/troupe-dev/troupe/services/payment"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const (
	keyMemory = 23 * time.Hour
	deadline  = 15 * time.Minute
)

// stage is the payment service's behaviour in front of the simulator, with a wire between them that tests can cut.
type stage struct {
	t         *testing.T
	clock     *clock
	sim       http.Handler
	simulator *Simulator
	react     func(orderEvent event.Message, answered ...proto.Message) (proto.Message, error)

	mu sync.Mutex
	// lost says which requests get no answer although they are executed, by the end of their idempotency key; each once.
	lost map[string]bool
	// refused are requests that do not arrive; each once.
	refused map[string]bool
}

func newStage(t *testing.T) *stage {
	t.Helper()
	st := &stage{t: t, clock: newClock(), lost: map[string]bool{}, refused: map[string]bool{}}
	st.simulator = open(t, t.TempDir(), st.clock.Now)
	st.sim = st.simulator.Handler()
	sim := httptest.NewServer(st.sim)
	t.Cleanup(sim.Close)
	target, err := url.Parse(sim.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ErrorLog = log.New(io.Discard, "", 0) // answers lost on purpose
	wire := httptest.NewServer(st.wire(proxy))
	wire.Config.SetKeepAlivesEnabled(false) // over a used connection the client itself would ask once more
	t.Cleanup(wire.Close)
	cfg := payment.Config{Concurrency: 8}
	cfg.Gateway.URL, cfg.Gateway.Key, cfg.Gateway.Timeout = wire.URL, config.NewSecret("sk_test_x"), 5*time.Second
	g := payment.OpenGateway(cfg, nil)
	t.Cleanup(g.Close)
	b := payment.Behavior(g, keyMemory, 14*24*time.Hour)
	st.react = func(m event.Message, answers ...proto.Message) (proto.Message, error) {
		s := zero(b.Evolve)
		for _, a := range answers {
			s = b.Evolve(s, event.Message{Body: a})
		}
		return b.React(participant.WithAttempt(t.Context(), participant.Attempt{Now: st.clock.Now()}), s, m)
	}
	return st
}

// zero is the state before the first fact, whose type is payment's own.
func zero[S any](func(S, event.Message) S) S {
	var s S
	return s
}

func (st *stage) wire(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := r.Header.Get("Idempotency-Key")
		step := key[strings.LastIndex(key, ":")+1:]
		st.mu.Lock()
		refused, lost := st.refused[step], st.lost[step]
		delete(st.refused, step)
		if !refused {
			delete(st.lost, step)
		}
		st.mu.Unlock()
		switch {
		case refused:
			panic(http.ErrAbortHandler)
		case lost:
			next.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		next.ServeHTTP(w, r)
	})
}

// cut makes the next request of a step lost or refused.
func (st *stage) cut(how map[string]bool, step string) {
	st.mu.Lock()
	defer st.mu.Unlock()
	how[step] = true
}

func (st *stage) placed(id, method string, total int64) event.Message {
	now := st.clock.Now()
	return event.Message{Event: event.Event{ID: id, Subject: "o-" + id, Time: now}, Body: &orderv1.OrderPlaced{
		Total: total, Currency: "EUR", PaymentMethod: method, PaymentDeadline: timestamppb.New(now.Add(deadline)),
	}}
}

func (st *stage) cancelled(placed event.Message) event.Message {
	return event.Message{Event: event.Event{ID: placed.ID + "-c", Subject: placed.Subject, Time: st.clock.Now()}, Body: &orderv1.OrderCancelled{}}
}

// money counts what the ledger says about an order.
func (st *stage) money(m event.Message) (intents, charges, refunds int) {
	st.t.Helper()
	for _, i := range ledgerOf(st.t, st.sim).Orders[m.Subject].Intents {
		intents++
		for _, c := range i.Charges {
			if c.Status == succeeded {
				charges++
			}
		}
		refunds += len(i.Refunds)
	}
	return intents, charges, refunds
}

func (st *stage) wantMoney(m event.Message, intents, charges, refunds int) {
	st.t.Helper()
	if i, c, r := st.money(m); i != intents || c != charges || r != refunds {
		st.t.Errorf("%s: %d intents, %d charges, %d refunds; want %d, %d, %d", m.Subject, i, c, r, intents, charges, refunds)
	}
}

// answer reacts as a participant does: again and again while the gateway is unavailable, or has not decided.
func (st *stage) answer(m event.Message, before ...proto.Message) proto.Message {
	st.t.Helper()
	for range 20 {
		fact, err := st.react(m, before...)
		if err == nil {
			return fact
		}
		if class := fault.ClassOf(err); class != fault.Unavailable && class != fault.Deferred {
			st.t.Fatalf("%s: %v of class %s", m.Subject, err, fault.ClassOf(err))
		}
	}
	st.t.Fatalf("%s: no answer after 20 attempts", m.Subject)
	return nil
}

func wantReason(t *testing.T, fact proto.Message, reason string) {
	t.Helper()
	if d, ok := fact.(*paymentv1.PaymentDeclined); !ok || d.GetReason() != reason {
		t.Errorf("got %v, want PaymentDeclined %s", fact, reason)
	}
}
