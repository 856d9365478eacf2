package lifecycle

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
)

func TestHealth(t *testing.T) {
	h := NewHealth()
	var down error
	h.Check("participant", func() error { return down })
	r := chi.NewRouter()
	h.Routes(r)
	get := func(path string) (int, status) {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		var s status
		if err := json.Unmarshal(w.Body.Bytes(), &s); err != nil {
			t.Fatalf("%s: %v in %q", path, err, w.Body)
		}
		return w.Code, s
	}
	if code, s := get("/readyz"); code != 200 || s.Status != "ready" {
		t.Errorf("ready: %d %+v", code, s)
	}
	down = errors.New("2 of 12 tasks are not taken over")
	if code, s := get("/readyz"); code != 503 || len(s.Unready) != 1 || s.Unready[0] != (Unready{"participant", down.Error()}) {
		t.Errorf("with a check that fails: %d %+v", code, s)
	}
	down = nil
	h.Stopping()
	if code, s := get("/readyz"); code != 503 || len(s.Unready) != 1 || s.Unready[0].Reason != "stopping" {
		t.Errorf("stopping: %d %+v", code, s)
	}
	if code, s := get("/livez"); code != 200 || s.Status != "live" {
		t.Errorf("livez while stopping: %d %+v", code, s)
	}
}

func TestAReplicaServesFromItsFirstReadinessUntilItStops(t *testing.T) {
	h := NewHealth()
	down := errors.New("waiting for Redis")
	h.Check("participant", func() error { return down })
	r := chi.NewRouter()
	h.Routes(r)
	get := func() int {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/servez", nil))
		return w.Code
	}
	if code := get(); code != 503 {
		t.Errorf("before it was ready: %d", code)
	}
	outage := down
	down = nil
	if code := get(); code != 200 {
		t.Errorf("ready: %d", code)
	}
	if down = outage; get() != 200 {
		t.Error("an outage of what all replicas stand on takes them out of the balancer")
	}
	if h.Stopping(); get() != 503 {
		t.Error("it stops, and is sent requests")
	}
}

func TestReadinessGoesBeforeTheDoors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHealth()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		began := time.Now()
		door := Part{Name: "http", Run: func(ctx context.Context) error {
			<-ctx.Done()
			if len(h.Unready()) == 0 || time.Since(began) != 3*time.Second {
				return errors.New("the door closed before readiness was seen to be off")
			}
			return nil
		}}
		if err := Run(ctx, door, h.Part(3*time.Second)); err != nil {
			t.Error(err)
		}
	})
}

// serve runs an HTTP part and returns its URL, and a function that stops it and returns its error.
func serve(t *testing.T, h http.Handler) (url string, stop func() error) {
	ln, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- HTTP("http", ln, httpdoor.Config{}, h).Run(ctx) }()
	return "http://" + ln.Addr().String(), func() error { cancel(); return <-ended }
}

func TestRequestsInFlightEndBeforeTheDoorDoes(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	url, stop := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-Draining(r.Context()) // the door has begun to stop
		close(release)
		if r.Context().Err() == nil {
			_, _ = io.WriteString(w, "whole")
		}
	}))
	body := make(chan string, 1)
	go func() {
		resp, err := http.Get(url)
		if err != nil {
			body <- err.Error()
			return
		}
		b, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		body <- string(b)
	}()
	<-arrived
	if err := stop(); err != nil {
		t.Error(err)
	}
	<-release
	if b := <-body; b != "whole" {
		t.Errorf("got %q", b)
	}
	if resp, err := http.Get(url); err == nil {
		_ = resp.Body.Close()
		t.Error("the door still takes connections")
	}
}

func TestListenNamesTheAddress(t *testing.T) {
	ln, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	addr := ln.Addr().String()
	if _, err := Listen(addr); err == nil || !strings.Contains(err.Error(), addr) {
		t.Errorf("a taken address: %v", err)
	}
	if _, err := Listen("nonsense"); err == nil || !strings.Contains(err.Error(), `"nonsense"`) {
		t.Errorf("a malformed address: %v", err)
	}
}

func TestServeFailureIsAnError(t *testing.T) {
	ln, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	if err := HTTP("http", ln, httpdoor.Config{}, http.NotFoundHandler()).Run(t.Context()); err == nil {
		t.Error("no error from a closed listener")
	}
}
