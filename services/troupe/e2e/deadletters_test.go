package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/schemas/check"
	"github.com/troupe-dev/troupe/services/troupe/inspect"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

// place places an order by the command and returns its id.
func (p *playground) place(t *testing.T, args ...string) string {
	t.Helper()
	out, code := p.troupe(t, append([]string{"place", "--json"}, args...)...)
	var placed rest.Accepted
	if err := json.Unmarshal([]byte(out), &placed); code != 0 || err != nil {
		t.Fatalf("place: exit code %d, %v\n%s", code, err, out)
	}
	return placed.ID
}

// letters runs a dead-letters command that must end with a code and say some things.
func (p *playground) letters(t *testing.T, code int, args string, says ...string) string {
	t.Helper()
	out, got := p.troupe(t, append([]string{"dead-letters"}, strings.Fields(args)...)...)
	if got != code {
		t.Errorf("%s: exit code %d, want %d\n%s", args, got, code, out)
	}
	for _, s := range says {
		if !strings.Contains(out, s) {
			t.Errorf("%s: does not say %q\n%s", args, s, out)
		}
	}
	return out
}

// parked waits until payment has parked that many events of an order.
func (p *playground) parked(t *testing.T, id string, waiting int) rest.Chain {
	t.Helper()
	var c rest.Chain
	eventually(t, 30*time.Second, "order "+id+" is parked", func() (err error) {
		c, err = rest.NewConsole(p.Console).Chain(t.Context(), "payment", id, rest.Paging{})
		if err == nil && c.Waiting != waiting {
			err = fmt.Errorf("%d letters wait, not %d", c.Waiting, waiting)
		}
		return err
	})
	return c
}

// gateway sets how the simulator misbehaves.
func (p *playground) gateway(t *testing.T, control string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, p.Gateway+"/control", strings.NewReader(control))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("control %s: %s", control, resp.Status)
	}
}

// settled waits for the end of an order and returns it.
func (p *playground) settled(t *testing.T, id string) rest.Order {
	t.Helper()
	var o rest.Order
	eventually(t, 30*time.Second, "order "+id+" is settled and told", func() (err error) {
		if o, err = p.orders.Order(t.Context(), id, rest.Read{}); err == nil && !rest.Ended(o) {
			err = fmt.Errorf("it is %s, its payment %s", o.Status, o.Payment.Status)
		}
		return err
	})
	return o
}

// An operator's day: an order that only an edit brings back, orders that come back after a fix at the gateway, and one that is given up.
func TestDeadLettersByHand(t *testing.T) {
	p := start(t, "--payment-deadline", "1h")
	var expected []check.Expected
	want := func(id string, cancelled bool) {
		expected = append(expected, check.Expected{ID: id, Total: 2500, Currency: "EUR", CancelAsked: cancelled})
	}
	p.letters(t, 0, "list", "nothing found")
	p.letters(t, 5, "redrive 00000000-0000-5000-8000-000000000000")

	wrong := p.place(t, "--payment-method", "pm_sim_refused")
	p.parked(t, wrong, 1)
	if out, code := p.troupe(t, "cancel", wrong); code != 0 {
		t.Fatalf("cancel: %s", out)
	}
	chain := p.parked(t, wrong, 3) // the request to cancel too: payment hears it, and answers nothing
	if behind := chain.Letters[2]; !strings.HasSuffix(behind.Type, ".OrderCancelled") || behind.Behind == "" {
		t.Errorf("behind: %+v", behind)
	}
	p.letters(t, 0, "list", "payment/"+wrong, "OrderPlaced", "permanent", "refuses this payment method")
	p.letters(t, 0, "list --groups", "payment", "permanent", "OrderPlaced")
	p.letters(t, 0, "show "+wrong, "payment_method: pm_sim_refused", "type: troupe.order.v1.OrderCancellationRequested", "position: 3", "topic: order.events.v1")
	p.letters(t, 4, "redrive "+wrong, "redrive failed: 0 came back, 3 wait")

	file := filepath.Join(t.TempDir(), "payload.json")
	payload := slices.Clone(chain.Letters[0].Payload)
	edit := func(from, to string) {
		if err := os.WriteFile(file, []byte(strings.Replace(string(payload), from, to, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	edit(`"payment_method"`, `"payment_mathod"`)
	p.letters(t, 1, "edit "+wrong+" --reason typing --payload "+file, "(422)", "payment_mathod")
	edit("pm_sim_refused", "pm_card_visa")
	p.letters(t, 0, "edit "+wrong+" --reason wrong-method --by ada --payload "+file, "edit done: 3 came back, 0 wait")
	if o := p.settled(t, wrong); o.Status != "cancelled" || o.Payment.Status != "refunded" {
		t.Errorf("after the edit: %s, payment %s", o.Status, o.Payment.Status)
	}
	want(wrong, true)
	p.letters(t, 5, "show "+wrong, "dead-letters log "+wrong)
	p.letters(t, 0, "log payment/"+wrong, "ada", "wrong-method")

	p.gateway(t, `{"refuse_percent":100}`)
	for range 3 {
		id := p.place(t)
		p.parked(t, id, 1)
		want(id, false)
	}
	p.gateway(t, `{}`)
	charged := p.place(t)
	p.settled(t, charged)
	want(charged, false)
	p.gateway(t, `{"refuse_percent":100}`)
	p.letters(t, 0, "redrive --participant payment --class permanent --type OrderPlaced --dry-run", "refuses this order")
	p.letters(t, 4, "redrive --all", "redrive failed", "0 of 3 orders done", "still parked")
	p.gateway(t, `{}`)
	p.letters(t, 0, "redrive --participant payment --limit 1 --reason fixed", "redrive done: 1 came back")
	p.letters(t, 0, "redrive --participant payment --reason fixed", "2 of 2 orders done")
	for _, e := range expected[1:] {
		if o := p.settled(t, e.ID); o.Status != "confirmed" {
			t.Errorf("after the fix: %s", o.Status)
		}
	}

	lost := p.place(t, "--payment-method", "pm_sim_refused")
	p.parked(t, lost, 1)
	p.letters(t, 2, "discard "+lost, `"reason"`)
	p.letters(t, 0, "discard "+lost+" --reason test", "discard done")
	p.letters(t, 0, "list", "nothing found")
	p.letters(t, 5, "discard payment/"+lost+" --letter "+chain.Letters[0].LetterID+" --reason again", "nothing of order")

	log := p.letters(t, 0, "log --page-size 200", "operator", "ada", "edit", "fixed", "test", "failed", "redriven")
	if n := strings.Count(log, "request"); n < 9 {
		t.Errorf("the log tells of %d requests\n%s", n, log)
	}
	p.letters(t, 1, "list --console-url http://127.0.0.1:1", "Is the playground running?")
	p.verifyAfterLetters(t, append(expected, check.Expected{ID: lost, Total: 2500, Currency: "EUR"}), len(expected), 1, lost)
}

// verifyAfterLetters checks every promise of what came back; letters that are in the log and were answered are no violation, and
// what was given up needs no end.
func (p *playground) verifyAfterLetters(t *testing.T, expected []check.Expected, charges, refunds int, givenUp ...string) {
	t.Helper()
	s := p.system()
	s.Parked = map[string]bool{}
	for _, id := range givenUp {
		s.Parked[id] = true
	}
	ctx, cancel := context.WithTimeout(t.Context(), *quiet)
	defer cancel()
	if err := inspect.Quiet(ctx, s, expected, nil); err != nil {
		t.Error(err)
	}
	r, err := inspect.Run(t.Context(), s, expected)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range r.Violations {
		if v.Guarantee != check.UnexplainedLetter {
			t.Errorf("%+v", v)
		}
	}
	if r.Charges != charges || r.Refunds != refunds {
		t.Errorf("%d charges and %d refunds, not %d and %d, of %d orders", r.Charges, r.Refunds, charges, refunds, len(expected))
	}
}
