package httpapi

import (
	"testing"
	"time"
)

func TestPreferenceOfWaiting(t *testing.T) {
	for prefer, want := range map[string]time.Duration{
		"": 2 * time.Second, "wait=0": 0, "wait=30": 30 * time.Second, "Wait = 5": 5 * time.Second, `wait="7"`: 7 * time.Second,
		"respond-async": 2 * time.Second, "respond-async, wait=9; strict": 9 * time.Second, "wait=3, wait=4": 3 * time.Second,
		"waiting=1": 2 * time.Second,
	} {
		if got, err := waitOf(prefer); got != want || err != nil {
			t.Errorf("%q: %v, %v", prefer, got, err)
		}
	}
}
