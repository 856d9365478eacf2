package supervise_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/services/troupe/internal/supervise"
)

func TestStruckProcessStaysAwayUntilStart(t *testing.T) {
	p, out, _ := supervised(t, spec("kind"))
	out.await(t, "up", 1)
	for range 2 { // the second changes nothing
		if err := p.Strike(); err != nil {
			t.Fatal(err)
		}
	}
	deadline := time.Now().Add(20 * time.Second)
	for p.Status().State != supervise.Stopped {
		if time.Now().After(deadline) {
			t.Fatalf("not gone: %+v", p.Status())
		}
		runtime.Gosched()
	}
	if s := p.Status(); s.PID != 0 || !strings.Contains(s.LastExit, "killed") {
		t.Errorf("struck, and status is %+v", s)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	out.await(t, "up", 2)
}
