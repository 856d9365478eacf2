package participant

import (
	"testing"
	"testing/synctest"
	"time"
)

// A moment that has passed and that nobody acts upon must not keep the cycle from sleeping: it would spin until the answer comes.
func TestTheCycleSleepsWhileItWaits(t *testing.T) {
	for name, c := range map[string]*cycle{
		"for a commit that takes longer than the time between two": {committing: true, commitAt: time.Unix(1, 0)},
		"for React while it leaves":                                {leaving: true, commitAt: time.Unix(1, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if d := c.nap(); d <= 0 {
					t.Errorf("it naps %v", d)
				}
			})
		})
	}
	if d := (&cycle{commitAt: time.Unix(1, 0)}).nap(); d != 0 {
		t.Errorf("with a commit due it naps %v", d)
	}
}
