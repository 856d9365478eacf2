package participant

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/pkg/taskstore"
	"github.com/troupe-dev/troupe/pkg/taskstore/storetest"
)

// seen is all that becomes of an event that nobody answers.
func (b *bench) seen() { o, d := b.receive(); b.c.nothing(b.t, o, d) }

// evolve is a fact of the log that changes a state.
func (b *bench) evolve() error { o, d := b.receive(); return b.c.evolve(b.t, o, d) }

// What somebody waits for is written at once, however short ago the last was; the rest when it is time.
func TestWhenATaskIsWritten(t *testing.T) {
	for name, tc := range map[string]struct {
		happens func(*bench)
		after   time.Duration
	}{
		"a fact that answers": {(*bench).decide, 0},
		"a fact of the log": {func(b *bench) {
			if err := b.evolve(); err != nil {
				t.Error(err)
			}
		}, 0},
		"a letter that left":          {func(b *bench) { b.t.ops = []taskstore.Op{{Cmd: "HDEL"}} }, 0},
		"a change of unknown outcome": {func(b *bench) { b.t.resend = &change{} }, 0},
		"the last moments":            {func(b *bench) { b.seen(); b.c.leaving = true }, 0},
		"so many events that there is no room": {func(b *bench) {
			for range minWindowEvents {
				b.seen()
			}
		}, 0},
		"an event without answer": {(*bench).seen, idleWrites},
		"what left the outbox":    {func(b *bench) { b.t.moving = true }, idleWrites},
		"nothing":                 {func(*bench) {}, compareEvery},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(minWindowEvents)
				b.c.put(b.t)
				began := time.Now()
				b.t.compared, b.t.moving, b.c.idleAt = began, false, began.Add(idleWrites)
				tc.happens(b)
				for !b.c.writes(b.t, time.Now()) {
					time.Sleep(b.c.nap()) //nolint:forbidigo // in a synctest bubble
				}
				if after := time.Since(began); after != tc.after {
					t.Errorf("written after %v, not %v", after, tc.after)
				}
			})
		})
	}
}

// After a change nothing is urgent any more, and what comes then waits for its time.
func TestWhatIsWrittenIsNotUrgent(t *testing.T) {
	b := newBench(3)
	b.c.put(b.t)
	b.c.st, b.c.noStore, b.t.owner = taskstore.New(storetest.Fresh(t), "clerk"), new(atomic.Bool), "me"
	if _, err := b.c.st.Claim(t.Context(), 0, b.t.owner); err != nil {
		t.Fatal(err)
	}
	b.seen()
	if err := b.evolve(); err != nil || !b.t.urgent() {
		t.Fatalf("urgent: %t, %v", b.t.urgent(), err)
	}
	began := time.Now()
	b.c.apply()
	if b.t.dead || b.t.seq != 1 || b.t.urgent() {
		t.Errorf("dead: %t, changes: %d, urgent: %t", b.t.dead, b.t.seq, b.t.urgent())
	}
	if b.c.idleAt.Before(began.Add(idleWrites)) {
		t.Error("what nobody waits for may be written again at once")
	}
	b.seen()
	if !b.t.stirred() || b.c.writes(b.t, began) {
		t.Error("an event without answer is written at once")
	}
}
