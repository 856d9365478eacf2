package participant

import (
	"testing"
	"time"
)

// A deadline that was taken for passed by a clock that was put back since must still come.
func TestADeadlineIsPutBackWithTheClock(t *testing.T) {
	at := time.Unix(1000, 0)
	var ts timers
	ts.keep("o1", at)
	if id, ok := ts.pop(at); !ok || id != "o1" {
		t.Fatalf("popped %q, %t", id, ok)
	}
	ts.again("o1", at)
	if _, ok := ts.pop(at.Add(-time.Second)); ok {
		t.Error("it came before its time")
	}
	if id, ok := ts.pop(at); !ok || id != "o1" {
		t.Errorf("then popped %q, %t", id, ok)
	}
}
