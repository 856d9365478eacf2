package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/schemas/check"
	"github.com/troupe-dev/troupe/services/troupe/load"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

// troupe runs the command against a playground and returns its output and exit code.
func (p *playground) troupe(t *testing.T, args ...string) (string, int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Env = append(os.Environ(), "TROUPE_ORDER_URL="+p.Order, "TROUPE_QUERY_URL="+p.Query, "TROUPE_CONSOLE_URL="+p.Console,
		"TROUPE_GATEWAY_URL="+p.Gateway, "TROUPE_MAILBOX_URL="+p.Mailbox, "USER=operator")
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func TestDemo(t *testing.T) {
	p := start(t)
	out, code := p.troupe(t, "demo")
	t.Log(out)
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	for event, n := range map[string]int{"OrderPlaced": 3, "PaymentSucceeded": 2, "PaymentDeclined": 1, "OrderConfirmed": 2, "OrderCancellationRequested": 1,
		"OrderCancelled": 2, "PaymentRefunded": 1, "NotificationSent": 5, "✓": 12, "✗": 0} {
		if got := strings.Count(out, event); got != n {
			t.Errorf("tells %s %d times, want %d", event, got, n)
		}
	}
}

func TestOrdersByHand(t *testing.T) {
	p := start(t)
	out, code := p.troupe(t, "place", "--key", "by-hand-1", "--wait")
	if code != 0 || !strings.Contains(out, "confirmed, settled after") {
		t.Fatalf("place: exit code %d\n%s", code, out)
	}
	id := strings.TrimSuffix(strings.Fields(out)[1], ",")
	for _, tt := range []struct {
		args string
		code int
		says []string
	}{
		{"place --key by-hand-1 --json", 0, []string{`"id":"` + id + `"`, `"consistency_token"`}},
		{"place --key by-hand-1 --customer c-1001 --line TEA-250:Tea:1:1", 1, []string{"(422)"}},
		{"place --payment-method 4242424242424242", 1, []string{"(400)", "/payment_method"}},
		{"place --line tea", 2, []string{"SKU:NAME:QUANTITY:UNIT_PRICE"}},
		{"show " + id, 0, []string{"confirmed", "Green tea", "25.00 EUR", "PaymentSucceeded", "mail “confirmed”"}},
		{"show " + id + " --json", 0, []string{`"status":"confirmed"`}},
		{"show nonsense", 1, []string{"(400)"}},
		{"show 00000000-0000-5000-8000-000000000000", 5, []string{"(404)"}},
		{"list --customer c-1001 --status confirmed", 0, []string{id}},
		{"list --status dancing", 1, []string{"(400)", "status"}},
		{"cancel " + id + " --wait", 0, []string{"PaymentRefunded", "cancelled (customer), settled after"}},
		{"cancel " + id, 0, []string{"status: cancelled"}},
		{"follow " + id + " --json", 0, []string{`"status":"refunded"`}},
		{"follow " + id + " --timeout 1ns", 3, []string{"not done after 1ns"}},
		{"place --order-url http://127.0.0.1:1", 1, []string{"idempotency key", "Is the playground running?"}},
	} {
		out, code := p.troupe(t, strings.Fields(tt.args)...)
		if code != tt.code {
			t.Errorf("%s: exit code %d, want %d\n%s", tt.args, code, tt.code, out)
		}
		for _, says := range tt.says {
			if !strings.Contains(out, says) {
				t.Errorf("%s: does not say %q\n%s", tt.args, says, out)
			}
		}
	}
	p.verify(t, time.Minute, []check.Expected{{ID: id, Total: 2500, Currency: "EUR", CancelAsked: true}})
}

// Each process is killed once while orders flow, one after the other, the broker and Redis too where they are embedded.
func TestSurvivesTheDeathOfEachProcess(t *testing.T) {
	p := alone(t, "--instances", "payment=2")
	list, err := p.control.Processes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	victims := map[int]string{}
	for i, s := range list {
		victims[20*(i+1)] = s.Name
	}
	result := p.crowd(t, load.Plan{Orders: 20 * (len(list) + 2), PerSecond: 40, DeclinedOneIn: 10, CancelledOneIn: 10, TwiceOneIn: 20, Seed: 1}, func(answered int) {
		if name, ok := victims[answered]; ok {
			t.Logf("kill -9 %s after %d orders", name, answered)
			p.do(t, name, "kill")
		}
	})
	p.verify(t, 3*time.Minute, result.Expected)
	list, err = p.control.Processes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		if s.Restarts < 1 {
			t.Errorf("%s was started again %d times", s.Name, s.Restarts)
		}
	}
}

// crowd places a plan's orders; every customer must be answered, and rightly.
func (p *playground) crowd(t *testing.T, plan load.Plan, each func(answered int)) load.Result {
	t.Helper()
	began := time.Now()
	r, err := plan.Run(t.Context(), []*rest.Client{p.orders}, each)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d orders answered in %s, %d sent twice, %d retries", len(r.Expected), time.Since(began).Round(time.Millisecond), r.Twice, r.Retries)
	if len(r.Expected) != plan.Orders || len(r.Violations) > 0 {
		t.Errorf("%d of %d orders answered; the door broke its promises:\n%s", len(r.Expected), plan.Orders, strings.Join(r.Violations, "\n"))
	}
	return r
}

func TestPlayNamesTakenPorts(t *testing.T) {
	p := start(t)
	out, code := p.troupe(t, "play", "--ports", "auto", "--dir", t.TempDir(), "--query-port", port(p.Query))
	if code != 2 || !strings.Contains(out, "--query-port") || !strings.Contains(out, "TROUPE_QUERY_PORT") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	out, code = p.troupe(t, "play", "--ports", "auto", "--dir", p.dir)
	if code != 2 || !strings.Contains(out, "another playground is using") {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

func port(url string) string { return url[strings.LastIndexByte(url, ':')+1:] }

// Nothing is left when play itself is killed.
func TestKilledPlayLeavesNothing(t *testing.T) {
	p := start(t)
	list, err := p.control.Processes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-p.ended; err == nil {
		t.Error("it was killed and says that it stopped")
	}
	p.ended <- nil // it was meant to die
	p.control = nil
	for _, s := range list {
		eventually(t, 20*time.Second, s.Name+" is gone", func() error {
			if gone(s.PID) {
				return nil
			}
			return fmt.Errorf("process %d is still there", s.PID)
		})
	}
}
