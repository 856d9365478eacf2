package web_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/view/viewtest"
	"github.com/troupe-dev/troupe/schemas/choreography"
	"github.com/troupe-dev/troupe/services/console/internal/consoletest"
	"github.com/troupe-dev/troupe/services/console/internal/httpapi"
	"github.com/troupe-dev/troupe/services/console/internal/orders"
	"github.com/troupe-dev/troupe/services/console/internal/playground"
	"github.com/troupe-dev/troupe/services/console/internal/pulse"
	"github.com/troupe-dev/troupe/services/console/internal/web"
)

// idle is a consumer group that has read everything, unless it has stopped.
type idle struct {
	log     broker.Log
	stopped string
}

func (i *idle) Group(ctx context.Context, group string, logs []broker.TopicPartition) (broker.Standing, error) {
	ends, err := i.log.Ends(ctx, logs)
	if group == i.stopped {
		return broker.Standing{Committed: ends}, err
	}
	return broker.Standing{Members: 1, Committed: ends}, err
}

// live opens a console with a pulse, in a playground whose control API is at an address (empty: in none).
func live(t *testing.T, control string) (*page, *idle) {
	t.Helper()
	s := consoletest.New(t)
	protocol, err := choreography.Load()
	if err != nil {
		t.Fatal(err)
	}
	groups := &idle{log: s.Log}
	world := playground.Playground{Control: control}
	fake := consoletest.NewQuery(t)
	query := orders.New(fake.URL, "", auth.Credentials{})
	beat := pulse.New(pulse.Config{Log: s.Log, Groups: groups, Choreography: protocol, Partitions: viewtest.Partitions, Playground: world})
	desk, err := httpapi.New(s.Model, query, s.Log, beat, viewtest.Partitions)
	if err != nil {
		t.Fatal(err)
	}
	pages := web.New(s.Model, query, s.Log, desk, web.Config{Pulse: beat, Choreography: protocol, Playground: world})
	s.Play()
	s.Run(beat.Run)
	srv := httptest.NewServer(desk.Handler(auth.New(auth.Config{}), pages.Routes, pages.Static))
	t.Cleanup(srv.Close)
	return &page{Stage: s, query: fake, url: srv.URL}, groups
}

// sampled waits until the pulse was taken, and says so of orders.
func (p *page) sampled(accounted string) {
	p.T.Helper()
	viewtest.Eventually(p.T, func() string {
		resp := p.open("/api/pulse")
		defer func() { _ = resp.Body.Close() }()
		var got struct{ Invariants []struct{ Text string } }
		err := json.NewDecoder(resp.Body).Decode(&got)
		if err != nil || len(got.Invariants) == 0 || !strings.Contains(got.Invariants[0].Text, accounted) {
			return fmt.Sprintf("%+v, %v", got, err)
		}
		return ""
	})
}

func TestMapShowsTheChoreography(t *testing.T) {
	p, groups := live(t, "")
	groups.stopped = "payment"
	p.Caught()
	p.sampled("0 acknowledged")
	p.shows("/", "Nothing flows yet", `<div class="empty">`, "bin/troupe place", "0 acknowledged = 0 settled", "nobody consumes",
		`class="service payment stopped"`, `class="service query"`, "this gateway cannot be asked")
	p.Put(p.Confirmed(viewtest.ID("a"), hostile)...)
	p.Caught()
	text := p.get("/", http.StatusOK)
	protocol, err := choreography.Load()
	if err != nil {
		t.Fatal(err)
	}
	for name := range protocol.Participants {
		if n := strings.Count(text, `class="wire read `+name+`"`); n != len(protocol.Subscriptions(name)) {
			t.Errorf("%d wires to %s", n, name)
		}
		for _, types := range protocol.Subscriptions(name) {
			for _, typ := range types {
				if !strings.Contains(text, `data-type="`+typ+`"`) {
					t.Errorf("no route for %s", typ)
				}
			}
		}
	}
	if strings.Contains(text, "style=") || strings.Contains(p.get("/orders", http.StatusOK), "Break things") {
		t.Error("an inline style, or a playground's entry outside of one")
	}
	p.shows("/orders", `id="pulse"`, "Nothing lost", "Settle p50")
}

// event reads the next event of a stream with a name.
func event(t *testing.T, lines *bufio.Scanner, name string) (data string) {
	t.Helper()
	for lines.Scan() {
		if lines.Text() == "event: "+name && lines.Scan() {
			return strings.TrimPrefix(lines.Text(), "data: ")
		}
	}
	t.Fatalf("no %s came: %v", name, lines.Err())
	return ""
}

func TestPulseIsLive(t *testing.T) {
	p, _ := live(t, "")
	resp := p.open("/live?flow")
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
	told := func() (html string) {
		t.Helper()
		if err := json.Unmarshal([]byte(event(t, lines, "pulse")), &html); err != nil {
			t.Fatal(err)
		}
		return html
	}
	for !strings.Contains(told(), `<div class="empty">`) { // the first may come before the first sample
	}
	p.Put(p.Confirmed(viewtest.ID("a"), "c-1")...)
	var flow map[string]int
	if err := json.Unmarshal([]byte(event(t, lines, "flow")), &flow); err != nil || len(flow) == 0 {
		t.Errorf("flow %v, %v", flow, err)
	}
	for !strings.Contains(told(), "1 acknowledged = 1 settled") { // the next says it, or one after it
	}
}

func TestPulseAsJSON(t *testing.T) {
	p, _ := live(t, "")
	p.Put(p.Confirmed(viewtest.ID("a"), "c-1")...)
	p.sampled("1 acknowledged = 1 settled")
	resp := p.open("/api/pulse")
	defer func() { _ = resp.Body.Close() }()
	var got struct {
		Orders     int
		SettleMS   map[string]int                      `json:"settle_ms"`
		Groups     map[string]struct{ Stopped string } `json:"groups"`
		Invariants []struct{ Title, State string }     `json:"invariants"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil || got.Orders != 1 || got.SettleMS["p50"] != 2 || len(got.Groups) != 4 ||
		len(got.Invariants) != 3 || got.Invariants[0].Title != "Nothing lost" || got.Invariants[0].State != "holds" {
		t.Errorf("%+v, %v", got, err)
	}
}

// control answers as the playground's control API does, and says what it was asked.
func control(t *testing.T) (address string, asked func() []string) {
	t.Helper()
	requests := make(chan string, 16)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/processes":
			_, _ = io.WriteString(w, `{"processes":[{"service":"payment","state":"stopped"},{"service":"order","state":"paused"},{"service":"order","state":"running"}]}`)
		case r.Header.Get("X-Troupe-Control") != "1":
			w.WriteHeader(http.StatusForbidden)
		case r.Method == http.MethodGet:
			_ = json.NewEncoder(w).Encode(map[string]any{"breaks": []any{
				map[string]any{"name": "kill", "title": hostile, "does": "kills", "watch": "the map", "lasts_s": 15, "options": []any{map[string]any{"value": "payment", "label": "payment"}}},
				map[string]any{"name": "poison", "title": "Poison", "order": "o-1", "on": true, "ends_at": "2000-01-01T00:00:00Z"},
			}})
		case r.URL.Path == "/breaks/busy":
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusConflict)
			_, _ = io.WriteString(w, `{"type":"urn:troupe:problem:conflict","title":"Conflict","status":409,"detail":"the last crowd is still there"}`)
		default:
			requests <- r.Method + " " + r.URL.String()
			_, _ = io.WriteString(w, `{"name":"kill"}`)
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL, func() (all []string) {
		for len(requests) > 0 {
			all = append(all, <-requests)
		}
		return all
	}
}

// post sends a form as a browser does.
func (p *page) post(path string, form url.Values) (int, string) {
	p.T.Helper()
	req, err := http.NewRequestWithContext(p.T.Context(), http.MethodPost, p.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		p.T.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		p.T.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		p.T.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestBreakThings(t *testing.T) {
	address, asked := control(t)
	p, _ := live(t, address)
	p.Caught()
	p.shows("/break", "&lt;script&gt;", "kills", `action="/break/kill"`, "<option", "End it now", `href="/orders/o-1"`)
	p.shows("/", `class="service payment stopped"`, "stopped", `class="service order"`, "Break things")

	for want, form := range map[string]url.Values{
		"POST /breaks/kill?option=payment": {"do": {"break"}, "option": {"payment"}},
		"DELETE /breaks/kill":              {"do": {"mend"}},
	} {
		if status, _ := p.post("/break/kill", form); status != http.StatusSeeOther {
			t.Errorf("%s: %d", want, status)
		}
		if got := asked(); len(got) != 1 || got[0] != want {
			t.Errorf("asked %q, want %q", got, want)
		}
	}
	if status, text := p.post("/break/busy", nil); status != http.StatusServiceUnavailable || !strings.Contains(text, "still there") {
		t.Errorf("busy: %d", status)
	}
}

func TestNothingToBreakOutsideAPlayground(t *testing.T) {
	p, _ := live(t, "")
	if got := p.get("/break", http.StatusNotFound); !strings.Contains(got, "Only a playground") {
		t.Error(got)
	}
	if status, _ := p.post("/break/kill", nil); status != http.StatusNotFound {
		t.Errorf("%d", status)
	}
}
