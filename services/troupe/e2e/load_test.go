package e2e

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/participant"
	"github.com/troupe-dev/troupe/services/troupe/load"
	"github.com/troupe-dev/troupe/services/troupe/resend"
)

var (
	orders = flag.Int("orders", 2000, "orders of the load test")
	rate   = flag.Float64("rate", 200, "orders a second of the load test")
	quiet  = flag.Duration("quiet", 5*time.Minute, "how long the load test waits until nothing moves any more")
	seed   = flag.Uint64("seed", 0, "seed of the load test; 0 takes one from the clock")
)

// Orders flow at 200/s; one in ten is declined, one in ten cancelled, one in twenty sent twice. Meanwhile every service is killed at
// random moments, every record is appended a second time, and Redis is flushed once. Then every promise must hold.
func TestUnderLoad(t *testing.T) {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d: go test ./services/troupe/e2e -run TestUnderLoad -args -seed %d", *seed, *seed)
	p := alone(t)
	var topics []string
	for _, s := range []string{"order", "payment", "notification"} {
		topics = append(topics, participant.FactsTopic(s))
	}
	twice, err := resend.Start(t.Context(), p.Kafka, topics)
	if err != nil {
		t.Fatal(err)
	}
	deeds := p.deeds(*orders, *seed)
	result := p.crowd(t, load.Plan{Orders: *orders, PerSecond: *rate, DeclinedOneIn: 10, CancelledOneIn: 10, TwiceOneIn: 20, Seed: *seed}, func(answered int) {
		for _, d := range deeds[answered] {
			t.Logf("%s after %d orders", d.name, answered)
			d.do(t)
		}
	})
	r := p.verify(t, *quiet, result.Expected)
	if originals := r.Records - r.RecordCopies - r.VoidedRecords; twice.Copies() < originals || r.RecordCopies < originals {
		t.Errorf("%d records of %d were appended a second time, %d copies are in the log", twice.Copies(), originals, r.RecordCopies)
	}
	if err := twice.Close(); err != nil {
		t.Errorf("append records twice: %v", err)
	}
	list, err := p.control.Processes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		t.Logf("%-14s started again %d times", s.Name, s.Restarts)
	}
}

// deed is something done to the troupe.
type deed struct {
	name string
	do   func(t *testing.T)
}

// deeds kills each service twice at random moments and flushes Redis in the middle, by the number of orders answered before.
func (p *playground) deeds(orders int, seed uint64) map[int][]deed {
	r := rand.New(rand.NewPCG(seed, 0))
	at := map[int][]deed{}
	add := func(n int, d deed) { at[n] = append(at[n], d) }
	for _, s := range []string{"order", "payment", "notification", "query"} {
		for range 2 {
			add(1+r.IntN(orders), deed{"kill -9 " + s, func(t *testing.T) { p.do(t, s, "kill") }})
		}
	}
	add(max(1, orders/2), deed{"FLUSHALL", func(t *testing.T) {
		eventually(t, 30*time.Second, "flush Redis", func() error { return p.control.FlushRedis(t.Context()) })
	}})
	return at
}

// gone reports whether a process has ended; one that nobody waits for any more has.
func gone(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return true
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(stat), ") Z ")
}
