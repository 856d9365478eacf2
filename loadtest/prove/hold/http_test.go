package hold_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/troupe-dev/troupe/loadtest/prove/hold"
)

// gateway counts the requests that reach it.
func gateway(t *testing.T) (p *hold.HTTP, url string, reached *atomic.Int32) {
	t.Helper()
	reached = &atomic.Int32{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Path", r.URL.Path)
		w.WriteHeader(http.StatusPaymentRequired)
		_, _ = w.Write(append([]byte(r.Method+" "+r.Header.Get("Idempotency-Key")+" "), body...))
		reached.Add(1)
	}))
	t.Cleanup(srv.Close)
	p = hold.NewHTTP(strings.TrimPrefix(srv.URL, "http://"))
	t.Cleanup(p.Close)
	addr, err := p.Addr("payment-2")
	if err != nil {
		t.Fatal(err)
	}
	return p, "http://" + addr, reached
}

type answer struct {
	status int
	path   string
	body   string
	err    error
}

func post(url string) <-chan answer { return postWithin(context.Background(), url) }

func postWithin(ctx context.Context, url string) <-chan answer {
	got := make(chan answer, 1)
	go func() {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader("amount=1"))
		if err != nil {
			got <- answer{err: err}
			return
		}
		req.Header.Set("Idempotency-Key", "k")
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // it would try again by itself
		resp, err := client.Do(req)
		if err != nil {
			got <- answer{err: err}
			return
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		got <- answer{resp.StatusCode, resp.Header.Get("X-Path"), string(body), err}
	}()
	return got
}

var whole = answer{http.StatusPaymentRequired, "/v1/x/confirm", "POST k amount=1", nil}

func TestHTTPPasses(t *testing.T) {
	_, url, _ := gateway(t)
	if got := <-post(url + "/v1/x/confirm"); got != whole {
		t.Errorf("got %+v", got)
	}
}

// A client asks again by itself where a connection ends that it has used before: every lost answer must reach it.
func TestHTTPLosesAnswers(t *testing.T) {
	var reached atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if reached.Add(1) == 2 {
			panic(http.ErrAbortHandler)
		}
	}))
	defer srv.Close()
	p := hold.NewHTTP(strings.TrimPrefix(srv.URL, "http://"))
	defer p.Close()
	addr, err := p.Addr("payment")
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	var failed []bool
	for range 3 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr, strings.NewReader("amount=1"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Idempotency-Key", "k")
		resp, err := client.Do(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		failed = append(failed, err != nil)
	}
	if !slices.Equal(failed, []bool{false, true, false}) || reached.Load() != 3 {
		t.Errorf("failed: %v; %d requests reached the server", failed, reached.Load())
	}
}

func TestHTTPHolds(t *testing.T) {
	for when, reachedAtHit := range map[hold.When]int32{hold.Before: 0, hold.After: 1} {
		p, url, reached := gateway(t)
		confirm := func(c hold.Call) bool { return c.Method == http.MethodPost && strings.HasSuffix(c.Path, "/confirm") }
		h := p.Hold(confirm, when)
		got := post(url + "/v1/x/confirm")
		if kept := hit(t, h); kept.Client != "payment-2" || kept.What != "POST /v1/x/confirm" || reached.Load() != reachedAtHit {
			t.Errorf("%v: held %+v, the server was reached %d times", when, kept, reached.Load())
		}
		if other := <-post(url + "/v1/x/cancel"); other.err != nil {
			t.Errorf("%v: another request is held too: %v", when, other.err)
		}
		h.Release()
		if got := <-got; got != whole {
			t.Errorf("%v: got %+v", when, got)
		}

		h = p.Hold(confirm, when)
		got = post(url + "/v1/x/confirm")
		hit(t, h)
		before := reached.Load()
		h.Drop()
		if got := <-got; got.err == nil || reached.Load() != before {
			t.Errorf("%v, dropped: got %+v, reached %d times more", when, got, reached.Load()-before)
		}
	}
}

// The caller has given up and is gone; its request is still on the wire, and arrives.
func TestHTTPDeliversLate(t *testing.T) {
	p, url, reached := gateway(t)
	h := p.Hold(func(hold.Call) bool { return true }, hold.Before)
	ctx, giveUp := context.WithCancel(t.Context())
	got := postWithin(ctx, url)
	hit(t, h)
	giveUp()
	if got := <-got; got.err == nil || reached.Load() != 0 {
		t.Errorf("given up, but got %+v", got)
	}
	h.Release()
	until(t, "the late request arrives", func() bool { return reached.Load() == 1 })
}
