package participant

import (
	"testing"

	"github.com/troupe-dev/troupe/pkg/task"
	"github.com/troupe-dev/troupe/pkg/taskstore"
)

// seen is all that becomes of an event that nobody answers.
func (b *bench) seen() { o, d := b.receive(); b.t.nothing(o, d) }

// evolve is a fact of the log that changes a state.
func (b *bench) evolve() error { o, d := b.receive(); return b.t.evolve(o, d) }

// What somebody waits for is written now; the rest when others are.
func TestWhatATaskNeeds(t *testing.T) {
	for name, tc := range map[string]struct {
		happens func(*bench)
		want    task.Need
	}{
		"a fact that answers": {(*bench).decide, task.Now},
		"a fact of the log": {func(b *bench) {
			if err := b.evolve(); err != nil {
				t.Error(err)
			}
		}, task.Now},
		"a letter that left": {func(b *bench) { b.t.ops = []taskstore.Op{{Cmd: "HDEL"}} }, task.Now},
		"so many events that there is no room": {func(b *bench) {
			for range minWindowEvents {
				b.seen()
			}
		}, task.Now},
		"an event without answer": {(*bench).seen, task.Soon},
		"what left the outbox":    {func(b *bench) { b.t.Moved = true }, task.Soon},
		"nothing":                 {func(*bench) {}, task.Nothing},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(minWindowEvents)
			b.t.Moved = false
			tc.happens(b)
			if got := (handler{b.c}).Need(b.t); got != tc.want {
				t.Errorf("need %d, not %d", got, tc.want)
			}
		})
	}
}

// After a change nothing is needed at once any more, and what comes then waits for its time.
func TestWhatIsWrittenIsNotNeededNow(t *testing.T) {
	b := newBench(3)
	b.seen()
	if err := b.evolve(); err != nil || (handler{b.c}).Need(b.t) != task.Now {
		t.Fatalf("need %d, %v", (handler{b.c}).Need(b.t), err)
	}
	b.store()
	if need := (handler{b.c}).Need(b.t); need == task.Now {
		t.Error("it is written, and needed now")
	}
	b.seen()
	if need := (handler{b.c}).Need(b.t); need != task.Soon {
		t.Errorf("need %d of an event without answer", need)
	}
}
