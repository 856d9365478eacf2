package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/services/troupe/load"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

// A gateway that refuses everybody parks a thousand orders (on a Redis of one's own; else two hundred), some with what their customers
// asked for afterwards. They are redriven in vain, then while it refuses half, then when it is well; meanwhile payment is killed and
// Redis forgets. Each must be charged once, and refunded once when it was cancelled: no attempt is remembered as an answer.
func TestAllThatWasParkedComesBack(t *testing.T) {
	orders := 200
	if os.Getenv("TEST_REDIS_ADDR") != "" {
		orders = 1000
	}
	p := start(t, "--payment-deadline", "1h")
	p.gateway(t, `{"refuse_percent":100}`)
	result := p.crowd(t, load.Plan{Orders: orders, PerSecond: 200, CancelledOneIn: 5, Seed: 1}, func(int) {})
	p.waiting(t, orders)

	p.letters(t, 4, "redrive --all --rate 1000", fmt.Sprintf("0 of %d orders done", orders))
	p.gateway(t, `{"refuse_percent":50}`)
	p.do(t, "payment", "kill")
	half := p.letters(t, 4, "redrive --all --rate 1000", fmt.Sprintf(" of %d orders done", orders))
	if !strings.Contains(half, "redrive done") || !strings.Contains(half, "redrive failed") {
		t.Errorf("neither came half of them back, nor stayed half: %s", half)
	}
	eventually(t, 30*time.Second, "flush Redis", func() error { return p.control.FlushRedis(t.Context()) })
	p.gateway(t, `{}`)
	eventually(t, time.Minute, "the read model is whole again, and all come back", func() error {
		if out, code := p.troupe(t, "dead-letters", "redrive", "--all", "--rate", "1000", "--reason", "well again"); code != 0 {
			return fmt.Errorf("exit code %d: %s", code, out)
		}
		return nil
	})
	p.waiting(t, 0)

	refunds := 0
	for _, e := range result.Expected {
		if e.CancelAsked {
			refunds++
		}
	}
	p.verifyAfterLetters(t, result.Expected, orders, refunds)
}

// waiting waits until so many orders are parked.
func (p *playground) waiting(t *testing.T, orders int) {
	t.Helper()
	eventually(t, time.Minute, fmt.Sprint(orders, " orders are parked"), func() error {
		g, err := rest.NewConsole(p.Console).Groups(t.Context(), rest.LetterFilter{})
		if err == nil && g.Orders != int64(orders) {
			err = fmt.Errorf("%d are", g.Orders)
		}
		return err
	})
}
