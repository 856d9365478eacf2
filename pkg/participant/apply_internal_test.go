package participant

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/pkg/participant/store"
)

// What somebody waits for is written at once, whatever was written last; the rest not before it is time, and then it is.
func TestWhenATaskIsWritten(t *testing.T) {
	seen := func(b *bench) { o, d := b.receive(); b.c.nothing(b.t, o, d) }
	for name, tc := range map[string]struct {
		happens func(*bench)
		waits   bool
	}{
		"a fact that answers":         {(*bench).decide, false},
		"a fact of the log":           {func(b *bench) { b.t.evolved = true }, false},
		"a letter that left":          {func(b *bench) { b.t.ops = []store.Op{{Cmd: "HDEL"}} }, false},
		"a change of unknown outcome": {func(b *bench) { b.t.resend = &change{} }, false},
		"the last moments":            {func(b *bench) { seen(b); b.c.leaving = true }, false},
		"many events without answer": {func(b *bench) {
			for range minWindowEvents {
				seen(b)
			}
		}, false},
		"an event without answer":       {seen, true},
		"what left the outbox":          {func(b *bench) { b.t.moving = true }, true},
		"nothing, while it is compared": {func(*bench) {}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(minWindowEvents)
				b.c.put(b.t)
				b.t.compared, b.c.idleAt = time.Now(), time.Now().Add(idleWrites)
				tc.happens(b)
				if due := b.c.due(b.t, time.Now()); due == tc.waits {
					t.Fatalf("due: %t", due)
				}
				if !tc.waits {
					return
				}
				for !b.c.due(b.t, time.Now()) {
					time.Sleep(b.c.nap()) //nolint:forbidigo // in a synctest bubble
				}
				if late := time.Since(b.c.idleAt); b.t.stirred() && late != 0 {
					t.Errorf("written %v late", late)
				}
			})
		})
	}
}
