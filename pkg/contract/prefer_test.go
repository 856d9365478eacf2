package contract_test

import (
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/contract"
)

func TestPreferenceOfWaiting(t *testing.T) {
	for prefer, want := range map[string]time.Duration{
		"": 2 * time.Second, "wait=0": 0, "wait=30": 30 * time.Second, "Wait = 5": 5 * time.Second, `wait="7"`: 7 * time.Second,
		"respond-async": 2 * time.Second, "respond-async, wait=9; strict": 9 * time.Second, "wait=3, wait=4": 3 * time.Second,
		"waiting=1": 2 * time.Second,
	} {
		if got, err := contract.Wait(prefer, 2*time.Second); got != want || err != nil {
			t.Errorf("%q: %v, %v", prefer, got, err)
		}
	}
	for _, prefer := range []string{"wait", "wait=", "wait=31", "wait=-1", "wait=x", "wait=1.5"} {
		if got, err := contract.Wait(prefer, 0); err == nil {
			t.Errorf("%q: %v", prefer, got)
		}
	}
}
