package e2e

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/schemas/choreography"
	"github.com/troupe-dev/troupe/services/troupe/inspect"
	"github.com/troupe-dev/troupe/services/troupe/rest"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
)

// orderLog is what the topics of facts hold about each order, no copies, by order.
type orderLog map[string][]event.Event

// events reads every topic of the choreography.
func (p *playground) events(t *testing.T) orderLog {
	t.Helper()
	c, err := choreography.Load()
	if err != nil {
		t.Fatal(err)
	}
	plain, err := inspect.NewPlain(p.Kafka)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	log, seen := orderLog{}, map[string]bool{}
	for _, topic := range c.Topics() {
		records, err := plain.Topic(t.Context(), topic, partitions)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			e, err := event.FromRecord(r)
			if err != nil {
				t.Fatal(err)
			}
			if !seen[e.ID] {
				seen[e.ID] = true
				log[e.Subject] = append(log[e.Subject], e)
			}
		}
	}
	return log
}

// hop is one asynchronous edge as it was performed: who heard an event, and the fact that answered it. fact is empty for a reader.
type hop struct {
	service     string
	cause, fact event.Event
	kind        string // the edge in the words of choreography.yaml
	deadline    bool
}

// Every asynchronous edge of the choreography stands in the one trace of its order, whichever instances performed it; and what a
// service says about an order says which trace it belongs to.
func TestEveryEdgeIsInTheOrdersTrace(t *testing.T) {
	p := traced(t, 1)
	t.Run("every metric that is read is exported", p.wantMetrics)
}

func TestEveryEdgeIsInTheTraceOfThreeInstances(t *testing.T) { traced(t, 3) }

// traced performs everything with so many instances of each service, and returns where.
func traced(t *testing.T, instances int) *playground {
	t.Helper()
	c := collect(t)
	p := start(t, append(c.from(), "--payment-deadline", "30s", "--instances",
		fmt.Sprintf("order=%[1]d,payment=%[1]d,notification=%[1]d,query=%[1]d", instances))...)
	p.performEverything(t, 20*instances)
	log := p.events(t)
	hops := performed(t, log)
	wantAllEdges(t, hops)
	var spans []span
	eventually(t, 30*time.Second, "all spans arrive", func() error {
		spans, _ = c.got()
		return missing(hops, log, spans)
	})
	t.Logf("%d orders, %d hops, %d spans", len(log), len(hops), len(spans))
	wantEffects(t, hops, spans)
	wantEveryInstance(t, spans, instances)
	c.wantLogsInTraces(t, log)
	wantDroppedContextNoticed(t, hops, log, spans)
	return p
}

// performEverything places orders that perform every edge between them, and returns when all are settled.
func (p *playground) performEverything(t *testing.T, more int) {
	t.Helper()
	number := 0
	place := func(method string) string {
		number++
		a, err := p.orders.Place(t.Context(), fmt.Sprintf("traced-%04d", number), rest.PlaceOrder{
			CustomerID: "c-traced", Email: fmt.Sprintf("traced-%d@example.com", number), Currency: "EUR", PaymentMethod: method,
			Lines: []rest.Line{{SKU: "TEA-250", Name: "Green tea", Quantity: 2, UnitPrice: 1250}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.orders.Order(t.Context(), a.ID, rest.Read{Token: a.ConsistencyToken, Wait: 30 * time.Second}); err != nil {
			t.Fatal(err)
		}
		return a.ID
	}
	mails := map[string]int{"succeeded": 1, "declined": 1, "refunded": 3} // told of each step; sent or refused
	settled := func(id, payment string) {
		t.Helper()
		eventually(t, time.Minute, "order "+id+" is told that its payment is "+payment, func() error {
			o, err := p.orders.Order(t.Context(), id, rest.Read{})
			if err == nil && (!o.Settled || o.Payment.Status != payment || len(o.Notifications) < mails[payment]) {
				err = fmt.Errorf("is %s, payment %s, %d mails", o.Status, o.Payment.Status, len(o.Notifications))
			}
			return err
		})
	}
	refund := func() {
		id := place("pm_card_visa")
		settled(id, "succeeded")
		if _, err := p.orders.Cancel(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		settled(id, "refunded")
	}
	for range more {
		settled(place("pm_card_visa"), "succeeded")
	}
	settled(place("pm_card_chargeDeclined"), "declined")
	refund()
	p.putControl(t, p.Mailbox, `{"refuse_percent":100}`)
	refund()
	settled(place("pm_card_chargeDeclined"), "declined")
	p.putControl(t, p.Mailbox, `{}`)
	p.putControl(t, p.Gateway, `{"outage":true}`)
	late := place("pm_card_visa")
	eventually(t, time.Minute, "the payment deadline cancels an order", func() error {
		o, err := p.orders.Order(t.Context(), late, rest.Read{})
		if err == nil && o.Status != "cancelled" {
			err = fmt.Errorf("is %s", o.Status)
		}
		return err
	})
	p.putControl(t, p.Gateway, `{}`)
	settled(late, "declined")
}

// putControl tells the gateway simulator or the mailbox what to break.
func (p *playground) putControl(t *testing.T, at, settings string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, at+"/control", bytes.NewReader([]byte(settings)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode >= 300 {
		t.Fatalf("PUT %s/control: %s", at, resp.Status)
	}
}

// performed lists the hops that the log holds: facts that answer, and what each reader hears.
func performed(t *testing.T, log orderLog) (hops []hop) {
	t.Helper()
	c, err := choreography.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, events := range log {
		byID := map[string]event.Event{}
		for _, m := range events {
			byID[m.ID] = m
		}
		for _, m := range events {
			for _, reader := range slices.Sorted(maps.Keys(c.Readers)) {
				if topic := m.Source + ".events.v1"; slices.Contains(c.Subscriptions(reader)[topic], m.Type) {
					hops = append(hops, hop{service: reader, cause: m, kind: reader + " reads " + m.Type})
				}
			}
			if m.CausationID == "" {
				continue
			}
			h := hop{service: m.Source, fact: m, cause: byID[m.CausationID]}
			if h.cause.ID == "" {
				h.deadline = true
				h.cause = event.Event{ID: m.CausationID, Type: c.Deadlines(m.Source)[0]}
			}
			h.kind = edge(h.service, h.cause.Type, m.Type)
			hops = append(hops, h)
		}
	}
	return hops
}

func edge(service, cause, fact string) string { return service + " answers " + cause + " with " + fact }

// wantAllEdges fails when an edge of choreography.yaml was not performed.
func wantAllEdges(t *testing.T, hops []hop) {
	t.Helper()
	c, err := choreography.Load()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, e := range c.Edges() {
		want = append(want, edge(e.Participant, e.Cause, e.Fact))
	}
	for reader := range c.Readers {
		for _, types := range c.Subscriptions(reader) {
			for _, typ := range types {
				want = append(want, reader+" reads "+typ)
			}
		}
	}
	seen := map[string]int{}
	for _, h := range hops {
		seen[h.kind]++
	}
	for _, kind := range want {
		if seen[kind] == 0 {
			t.Errorf("never performed: %s", kind)
		}
	}
	if len(want) < 15 {
		t.Errorf("the choreography has only %d edges: %v", len(want), want)
	}
}

// missing says which hops are not in the trace that their order's OrderPlaced began.
func missing(hops []hop, log orderLog, spans []span) error {
	began := map[string][2]string{} // trace and first span of each order
	for id, events := range log {
		for _, m := range events {
			if part := strings.Split(m.TraceParent, "-"); m.CausationID == "" && m.Sequence == 1 && len(part) == 4 {
				began[id] = [2]string{part[1], part[2]}
			}
		}
	}
	sent, processed := map[string][]span{}, map[string][]span{}
	for _, s := range spans {
		switch {
		case s.kind == otlp.Span_SPAN_KIND_PRODUCER && strings.HasPrefix(s.name, "send "):
			sent[s.message] = append(sent[s.message], s)
		case s.kind == otlp.Span_SPAN_KIND_CONSUMER && strings.HasPrefix(s.name, "process "):
			processed[s.message] = append(processed[s.message], s)
		}
	}
	var gaps []string
	for _, h := range hops {
		order := began[h.cause.Subject]
		if h.deadline {
			order = began[h.fact.Subject]
		}
		if !inTrace(h, order, sent, processed) {
			gaps = append(gaps, h.kind)
		}
	}
	if len(gaps) > 0 {
		slices.Sort(gaps)
		return fmt.Errorf("%d of %d hops are not in their order's trace: %s", len(gaps), len(hops), strings.Join(slices.Compact(gaps), "; "))
	}
	return nil
}

// inTrace wants the chain send (cause) ← process (cause) ← send (fact) in the order's trace.
func inTrace(h hop, order [2]string, sent, processed map[string][]span) bool {
	for _, process := range processed[h.cause.ID] {
		if process.service != h.service || process.trace != order[0] || order[0] == "" {
			continue
		}
		heard := h.deadline && process.parent == order[1] || slices.ContainsFunc(sent[h.cause.ID], func(s span) bool {
			// A door's first span is the request that began the order, or joins it.
			return s.id == process.parent && s.trace == order[0] && (h.cause.CausationID != "" || s.parent == order[1])
		})
		answered := h.fact.ID == "" || slices.ContainsFunc(sent[h.fact.ID], func(s span) bool {
			return s.service == h.service && s.parent == process.id && s.trace == order[0]
		})
		if heard && answered {
			return true
		}
	}
	return false
}

// wantEffects wants what goes out under the hop that caused it: the charge, the refund and the mail.
func wantEffects(t *testing.T, hops []hop, spans []span) {
	t.Helper()
	effects := map[string]string{"PaymentSucceeded": "payment", "PaymentRefunded": "payment", "NotificationSent": "notification"}
	under := map[string]bool{} // the spans that hold a call
	for _, s := range spans {
		if s.kind == otlp.Span_SPAN_KIND_CLIENT {
			under[s.service+s.parent] = true
		}
	}
	for _, h := range hops {
		service, ok := effects[h.fact.Type[strings.LastIndexByte(h.fact.Type, '.')+1:]]
		if ok && !slices.ContainsFunc(spans, func(s span) bool {
			return strings.HasPrefix(s.name, "process ") && s.message == h.cause.ID && s.service == service && under[service+s.id]
		}) {
			t.Errorf("%s: no call out in the trace", h.kind)
		}
	}
}

func wantEveryInstance(t *testing.T, spans []span, instances int) {
	t.Helper()
	seen := map[string]map[string]bool{}
	for _, s := range spans {
		if strings.HasPrefix(s.name, "process ") {
			if seen[s.service] == nil {
				seen[s.service] = map[string]bool{}
			}
			seen[s.service][s.instance] = true
		}
	}
	for _, service := range []string{"order", "payment", "notification", "query"} {
		if len(seen[service]) != instances {
			t.Errorf("%d instances of %s processed something, want %d", len(seen[service]), service, instances)
		}
	}
}

// wantLogsInTraces wants the gateway's outage told by payment, and every line about an order in that order's trace.
func (c *collector) wantLogsInTraces(t *testing.T, log orderLog) {
	t.Helper()
	traces := map[string]string{}
	for id, events := range log {
		for _, m := range events {
			if part := strings.Split(m.TraceParent, "-"); len(part) == 4 {
				traces[id] = part[1]
			}
		}
	}
	eventually(t, 10*time.Second, "payment says which order waits for the gateway", func() error {
		_, lines := c.got()
		told := false
		for _, l := range lines {
			if l.order == "" {
				continue
			}
			if l.trace != traces[l.order] || l.trace == "" {
				t.Fatalf("%s says %q about order %s in trace %q, want %q", l.service, l.text, l.order, l.trace, traces[l.order])
			}
			told = told || l.service == "payment"
		}
		if !told {
			return fmt.Errorf("nothing among %d lines", len(lines))
		}
		return nil
	})
}

// wantDroppedContextNoticed is the control: for each kind of hop, the spans of a service that lost the context of one message (it
// then begins a trace of its own) must be found missing.
func wantDroppedContextNoticed(t *testing.T, hops []hop, log orderLog, spans []span) {
	t.Helper()
	tried := map[string]bool{}
	for _, h := range hops {
		if tried[h.kind] {
			continue
		}
		tried[h.kind] = true
		lost := slices.Clone(spans)
		for i, s := range lost {
			if strings.HasPrefix(s.name, "process ") && s.message == h.cause.ID && s.service == h.service {
				lost[i].parent, lost[i].trace = "", "of its own"
			}
		}
		if err := missing(hops, log, lost); err == nil || !strings.Contains(err.Error(), h.kind) {
			t.Errorf("%s: a dropped context is not noticed: %v", h.kind, err)
		}
	}
}
