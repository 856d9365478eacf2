package control_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/services/troupe/control"
	"github.com/troupe-dev/troupe/services/troupe/internal/supervise"
)

type fake struct {
	name string
	did  []string
	err  error
}

func (f *fake) Status() supervise.Status {
	return supervise.Status{Name: f.name, Service: f.name, Instance: 1, PID: 7, State: supervise.Running,
		Addresses: map[string]string{"http": "127.0.0.1:1"}}
}
func (f *fake) do(what string) error { f.did = append(f.did, what); return f.err }
func (f *fake) Kill() error          { return f.do("kill") }
func (f *fake) Term() error          { return f.do("term") }
func (f *fake) Pause() error         { return f.do("pause") }
func (f *fake) Resume() error        { return f.do("resume") }
func (f *fake) Stop() error          { return f.do("stop") }
func (f *fake) Strike() error        { return f.do("strike") }
func (f *fake) Start() error         { return f.do("start") }

func TestClientReachesEveryAction(t *testing.T) {
	payment, flushed := &fake{name: "payment-2"}, 0
	h := control.Handler([]control.Process{&fake{name: "order"}, payment},
		control.Stores{Flush: func(context.Context) error { flushed++; return nil }})
	srv := httptest.NewServer(h)
	defer srv.Close()
	c := control.NewClient(srv.URL + "/")
	list, err := c.Processes(t.Context())
	if err != nil || len(list) != 2 || list[1].Name != "payment-2" || list[1].Addresses["http"] != "127.0.0.1:1" {
		t.Fatalf("processes = %+v, %v", list, err)
	}
	for _, a := range []string{"kill", "term", "pause", "resume", "stop", "start"} {
		if err := c.Do(t.Context(), "payment-2", a); err != nil {
			t.Errorf("%s: %v", a, err)
		}
	}
	if got := strings.Join(payment.did, " "); got != "kill term pause resume stop start" {
		t.Errorf("did %q", got)
	}
	if err := c.FlushRedis(t.Context()); err != nil || flushed != 1 {
		t.Errorf("flush: %v, %d times", err, flushed)
	}
}

func TestClientReachesTheStores(t *testing.T) {
	var did []string
	note := func(what string) func(context.Context) error {
		return func(context.Context) error { did = append(did, what); return nil }
	}
	h := control.Handler(nil, control.Stores{Snapshot: note("snapshot"), Restore: note("restore"),
		MoveLeaders: note("move leaders"), MoveCoordinators: note("move coordinators")})
	srv := httptest.NewServer(h)
	defer srv.Close()
	c := control.NewClient(srv.URL)
	for _, do := range []func(context.Context) error{c.MoveLeaders, c.MoveCoordinators, c.SnapshotRedis, c.RestoreRedis} {
		if err := do(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if want := []string{"move leaders", "move coordinators", "snapshot", "restore"}; !slices.Equal(did, want) {
		t.Errorf("did %q, want %q", did, want)
	}
}

func TestClientGetsClearErrors(t *testing.T) {
	dead := &fake{name: "order", err: fault.New(fault.Conflict, "order has no process now")}
	h := control.Handler([]control.Process{dead}, control.Stores{
		Flush:   func(context.Context) error { return errors.New("connection refused") },
		Restore: func(context.Context) error { return fault.New(fault.Conflict, "there is no snapshot") },
	})
	srv := httptest.NewServer(h)
	defer srv.Close()
	c := control.NewClient(srv.URL)
	for name, tt := range map[string]struct {
		err   error
		class fault.Class
		says  string
	}{
		"unknown process": {c.Do(t.Context(), "ordre", "kill"), fault.NotFound, `no process "ordre"; there are order`},
		"unknown action":  {c.Do(t.Context(), "order", "maim"), fault.Invalid, "must be one of kill, pause, resume, start, stop, term"},
		"no process":      {c.Do(t.Context(), "order", "kill"), fault.Conflict, "has no process now"},
		"flush fails":     {c.FlushRedis(t.Context()), fault.Unavailable, "connection refused"},
		"no snapshot":     {c.RestoreRedis(t.Context()), fault.Conflict, "there is no snapshot"},
		"nobody there":    {control.NewClient("http://127.0.0.1:1").FlushRedis(t.Context()), fault.Unavailable, "ask the playground"},
	} {
		if tt.err == nil || fault.ClassOf(tt.err) != tt.class || !strings.Contains(tt.err.Error(), tt.says) {
			t.Errorf("%s: got %v (%s), want %s saying %q", name, tt.err, fault.ClassOf(tt.err), tt.class, tt.says)
		}
	}
}

func TestRefusesWhatAWebPageCouldSend(t *testing.T) {
	for name, tt := range map[string]struct {
		method, host string
		header       http.Header
		want         int
	}{
		"right":             {"POST", "127.0.0.1:8089", http.Header{control.Header: {"1"}}, 200},
		"right, localhost":  {"POST", "localhost:8089", http.Header{control.Header: {"1"}}, 200},
		"right, IPv6":       {"POST", "[::1]:8089", http.Header{control.Header: {"1"}}, 200},
		"no header":         {"POST", "127.0.0.1:8089", nil, 403},
		"an origin":         {"POST", "127.0.0.1:8089", http.Header{control.Header: {"1"}, "Origin": {"https://a.example"}}, 403},
		"an opaque origin":  {"POST", "127.0.0.1:8089", http.Header{control.Header: {"1"}, "Origin": {"null"}}, 403},
		"a name of its own": {"POST", "a.example:8089", http.Header{control.Header: {"1"}}, 421},
		"reading by name":   {"GET", "a.example", nil, 421},
		"another method":    {"PUT", "127.0.0.1", http.Header{control.Header: {"1"}}, 405},
	} {
		p := &fake{name: "order"}
		r := httptest.NewRequestWithContext(t.Context(), tt.method, "/processes/order/kill", nil)
		r.Host = tt.host
		if tt.header != nil {
			r.Header = tt.header
		}
		w := httptest.NewRecorder()
		httpdoor.Config{}.Guard(control.Handler([]control.Process{p}, control.Stores{})).ServeHTTP(w, r)
		if w.Code != tt.want || (len(p.did) == 1) != (tt.want == 200) {
			t.Errorf("%s: status %d, want %d; did %v; %s", name, w.Code, tt.want, p.did, w.Body)
		}
	}
}
