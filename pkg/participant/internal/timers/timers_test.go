package timers_test

import (
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/participant/internal/timers"
)

// A moment that was taken for passed by a clock that was put back since must still come.
func TestAMomentIsPutBackWithTheClock(t *testing.T) {
	at := time.Unix(1000, 0)
	var ts timers.Timers
	ts.Set("o1", at)
	if id, ok := ts.Pop(at); !ok || id != "o1" {
		t.Fatalf("popped %q, %t", id, ok)
	}
	ts.Again("o1", at)
	if _, ok := ts.Pop(at.Add(-time.Second)); ok {
		t.Error("it came before its time")
	}
	if id, ok := ts.Pop(at); !ok || id != "o1" {
		t.Errorf("then popped %q, %t", id, ok)
	}
}
