package breaking

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/services/troupe/control"
	"github.com/troupe-dev/troupe/services/troupe/internal/supervise"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

type process struct {
	control.Process // what is not done here
	name            string
	did             []string
	err             error
}

func (p *process) Status() supervise.Status {
	service, _, _ := strings.Cut(p.name, "-")
	return supervise.Status{Name: p.name, Service: service}
}
func (p *process) do(what string) error { p.did = append(p.did, what); return p.err }
func (p *process) Strike() error        { return p.do("strike") }
func (p *process) Start() error         { return p.do("start") }
func (p *process) Pause() error         { return p.do("pause") }
func (p *process) Resume() error        { return p.do("resume") }

func TestProcesses(t *testing.T) {
	order, first, second := &process{name: "order"}, &process{name: "payment"}, &process{name: "payment-2"}
	s := New(World{Processes: []control.Process{order, first, second}})
	for _, name := range []string{"kill", "pause"} {
		if _, err := s.Begin(t.Context(), name, "payment"); err != nil {
			t.Fatal(err)
		}
		second.err = fault.New(fault.Conflict, "it has no process now")
		if _, err := s.End(t.Context(), name); err != nil {
			t.Error(err)
		}
		second.err = nil
	}
	if want := []string{"strike", "start", "pause", "resume"}; !slices.Equal(first.did, want) || !slices.Equal(second.did, want) {
		t.Errorf("did %q and %q", first.did, second.did)
	}
	if want := []string{"start", "resume"}; !slices.Equal(order.did, want) {
		t.Errorf("did %q to what was not chosen", order.did)
	}
	order.err = fault.New(fault.Conflict, "it has no process now")
	if _, err := s.Begin(t.Context(), "kill", "order"); fault.ClassOf(err) != fault.Conflict || s.List()[6].On {
		t.Errorf("killed nobody: %v", err)
	}
}

func TestGatewayHasAllThatIsWrongWithIt(t *testing.T) {
	var said []string
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		said = append(said, r.Method+" "+r.URL.Path+" "+string(body))
	}))
	defer srv.Close()
	s := New(World{Gateway: srv.URL})
	for _, name := range []string{"decline", "slow-gateway", "gateway-down"} {
		if _, err := s.Begin(t.Context(), name, ""); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"slow-gateway", "gateway-down", "decline"} {
		if _, err := s.End(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		`PUT /control {"decline_percent":50,"reset_after_s":70}`,
		`PUT /control {"decline_percent":50,"delay_ms":2000,"reset_after_s":70}`,
		`PUT /control {"decline_percent":50,"delay_ms":2000,"outage":true,"reset_after_s":70}`,
		`PUT /control {"decline_percent":50,"outage":true,"reset_after_s":70}`,
		`PUT /control {"decline_percent":50,"reset_after_s":70}`,
		`PUT /control {"reset_after_s":70}`,
	}
	if !slices.Equal(said, want) {
		t.Errorf("said %q", said)
	}
	srv.Close()
	if _, err := s.Begin(t.Context(), "decline", ""); fault.ClassOf(err) != fault.Unavailable {
		t.Error(err)
	}
}

func TestPoisonAndBurstPlaceOrders(t *testing.T) {
	methods := make(chan string, burstOrders)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var order rest.PlaceOrder
		_ = json.NewDecoder(r.Body).Decode(&order)
		methods <- order.PaymentMethod
		w.WriteHeader(http.StatusAccepted)
		_, _ = w.Write([]byte(`{"id":"o-7","status":"placed","consistency_token":"t"}`))
	}))
	defer srv.Close()
	s := New(World{Orders: rest.New(srv.URL, srv.URL)})
	if is, err := s.Begin(t.Context(), "poison", ""); err != nil || is.Order != "o-7" || <-methods != "pm_sim_refused" {
		t.Errorf("poison: %+v, %v", is, err)
	}
	if is, err := s.Begin(t.Context(), "burst", ""); err != nil || !is.On {
		t.Fatalf("burst: %+v, %v", is, err)
	}
	if _, err := s.Begin(t.Context(), "burst", ""); fault.ClassOf(err) != fault.Conflict {
		t.Errorf("a second crowd: %v", err)
	}
	for range burstOrders {
		<-methods
	}
	if is, err := s.End(t.Context(), "burst"); err != nil || is.On {
		t.Errorf("burst ended: %+v, %v", is, err)
	}
}

func TestDoor(t *testing.T) {
	flushed := 0
	s := New(World{Flush: func(context.Context) error { flushed++; return nil }})
	mux := httpdoor.NewRouter()
	s.Routes(mux)
	ask := func(method, path string, want int) string {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, nil))
		if w.Code != want {
			t.Errorf("%s %s: %d %s", method, path, w.Code, w.Body)
		}
		return w.Body.String()
	}
	var list List
	if err := json.Unmarshal([]byte(ask("GET", "/breaks", 200)), &list); err != nil || len(list.Breaks) != 9 {
		t.Fatalf("%+v, %v", list, err)
	}
	for _, b := range list.Breaks {
		if b.Title == "" || b.Does == "" || b.Watch == "" || b.LastsS > 60 {
			t.Errorf("%+v", b)
		}
	}
	if ask("POST", "/breaks/wipe-redis", 200); flushed != 1 {
		t.Error("not flushed")
	}
	ask("DELETE", "/breaks/wipe-redis", 200)
	ask("POST", "/breaks/nothing", 404)
	ask("POST", "/breaks/kill?option=redis", 400)
}
