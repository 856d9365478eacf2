package lifecycle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// DefaultStopWithin is the deadline of a Part that names none.
const DefaultStopWithin = 10 * time.Second

// Part is one part of a program.
type Part struct {
	// Name for logs and errors.
	Name string
	// Run works until ctx ends, then finishes what is in flight and returns. An error after ctx ended that says no more
	// than that it ended is not a failure.
	Run func(ctx context.Context) error
	// StopWithin bounds the wait for Run after its ctx ended. Zero: DefaultStopWithin.
	StopWithin time.Duration
}

// running is a part with its own context: parts stop one by one, not all at once.
type running struct {
	Part
	stop context.CancelFunc
	done chan struct{} // closed when Run has returned
	err  error         // valid after done
}

// Run starts all parts in order. When ctx ends or the first part returns, it stops them one by one in reverse order: it
// ends a part's context and waits for the part until its deadline. It blocks until then and joins the errors of the
// parts, each with the part's name; a part that misses its deadline is an error too, and is left behind.
func Run(ctx context.Context, parts ...Part) error {
	returned := make(chan *running, len(parts))
	var started []*running
	for _, p := range parts {
		p.StopWithin = cmp.Or(p.StopWithin, DefaultStopWithin)
		started = append(started, start(context.WithoutCancel(ctx), p, returned))
	}
	if len(parts) > 0 {
		select {
		case <-ctx.Done():
			slog.Info("stopping", "reason", context.Cause(ctx).Error())
		case r := <-returned:
			slog.Info("stopping", "reason", "a part ended", "part", r.Name)
		}
	}
	var errs []error
	for i := len(started) - 1; i >= 0; i-- {
		errs = append(errs, started[i].end())
	}
	return errors.Join(errs...)
}

// start runs a part on a goroutine of its own.
func start(ctx context.Context, p Part, returned chan<- *running) *running {
	r := &running{Part: p, done: make(chan struct{})}
	ctx, r.stop = context.WithCancel(ctx)
	go func() { // end waits for it
		err := p.Run(ctx)
		if ctx.Err() == nil || !errors.Is(err, context.Canceled) {
			r.err = err
		}
		close(r.done)
		returned <- r // has room for every part
	}()
	return r
}

// end stops a part and waits for it until its deadline.
func (r *running) end() error {
	began := time.Now()
	r.stop()
	late := time.NewTimer(r.StopWithin)
	defer late.Stop()
	select {
	case <-r.done:
	case <-late.C:
		slog.Error("part did not stop in time", "part", r.Name, "within", r.StopWithin.String())
		return fmt.Errorf("%s: did not stop within %s", r.Name, r.StopWithin)
	}
	slog.Debug("part stopped", "part", r.Name, "after", time.Since(began).String())
	if r.err != nil {
		return fmt.Errorf("%s: %w", r.Name, r.err)
	}
	return nil
}
