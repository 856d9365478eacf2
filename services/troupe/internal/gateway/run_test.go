package gateway

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/config"
)

// start runs the simulator as troupe gateway does; stop ends it and returns its error.
func start(t *testing.T, dir string) (url string, stop func() error) {
	t.Helper()
	cfg, err := config.Load[Config]([]string{"GATEWAY_ADDR=127.0.0.1:0", "GATEWAY_DIR=" + dir})
	if err != nil {
		t.Fatal(err)
	}
	listening := make(chan net.Addr, 1)
	cfg.Listening = func(a net.Addr) { listening <- a }
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, cfg) }() // received by stop
	select {
	case a := <-listening:
		return "http://" + a.String(), func() error { cancel(); return <-ended }
	case err := <-ended:
		cancel()
		t.Fatalf("it did not start: %v", err)
		return "", nil
	}
}

func TestRun(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "ledger")
	url, stop := start(t, dir)
	for _, path := range []string{"/livez", "/readyz", "/", "/ledger", "/control"} {
		resp, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
	post := func(path, form string) answered {
		r, err := http.NewRequestWithContext(t.Context(), "POST", url+path, strings.NewReader(form))
		if err != nil {
			t.Error(err)
			return answered{t: t}
		}
		r.Header.Set("Authorization", "Bearer sk_test_x")
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Idempotency-Key", path)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Error(err)
			return answered{t: t}
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Error(err)
		}
		return answered{t: t, status: resp.StatusCode, body: string(body)}
	}
	id := post("/v1/payment_intents", "amount=2500&currency=eur&payment_method=pm_sim_slow_60s&metadata[order_id]=o-1").text("id")
	confirm := "/v1/payment_intents/" + id + "/confirm"
	answers := make(chan answered, 2)
	for range 2 { // with one key: one of them is made to wait, the other told so
		go func() { answers <- post(confirm, "") }()
	}
	(<-answers).want(http.StatusConflict)
	// A request that is made to wait does not hold up the stop.
	began := time.Now()
	if err := stop(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	if got := <-answers; got.status != http.StatusServiceUnavailable {
		t.Errorf("the slow request got %d: %s", got.status, got.body)
	}
	if d := time.Since(began); d > 30*time.Second {
		t.Errorf("the stop took %s", d)
	}
	if l := ledgerOf(t, open(t, dir, nil).Handler()); l.Totals.Intents != 1 || l.Totals.Charges != 0 {
		t.Errorf("ledger %+v", l.Totals)
	}
}

func TestRunSaysWhatIsInTheWay(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	addr := taken.Addr().String()
	if err := Run(t.Context(), Config{Addr: addr, Dir: t.TempDir()}); err == nil || !strings.Contains(err.Error(), addr) {
		t.Errorf("got %v, want an error that names %s", err, addr)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Run(t.Context(), Config{Addr: "127.0.0.1:0", Dir: file}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v, want an error that names %s", err, file)
	}
	if _, err := config.Load[Config]([]string{"GATEWAY_DIR="}); err != nil {
		t.Errorf("an empty variable is its default: %v", err)
	}
	if err := (&Config{}).Validate(); err == nil || !strings.Contains(err.Error(), "GATEWAY_DIR") {
		t.Errorf("got %v, want an error that names GATEWAY_DIR", err)
	}
}
