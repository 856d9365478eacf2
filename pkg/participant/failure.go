package participant

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/wait"
)

// panicked is the error of a Behavior that panicked. Its event is parked at once.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprintf("panic: %v\n%s", p.value, p.stack) }

// classOf is fault.ClassOf with the two classes that only the cycle knows: a panic is permanent, and an attempt whose
// context ended (the instance leaves) is unavailable.
func classOf(err error) fault.Class {
	if _, ok := errors.AsType[*panicked](err); ok {
		return fault.Permanent
	}
	if errors.Is(err, context.Canceled) {
		return fault.Unavailable
	}
	return fault.ClassOf(err)
}

// exceptionOf is the stack of a panic; other errors say all they know in their message.
func exceptionOf(err error) string {
	if p, ok := errors.AsType[*panicked](err); ok {
		return string(p.stack)
	}
	return ""
}

// failures of a delivery. Each class is borne for a while of its own: waiting for a gateway that is away uses up
// nothing of what a transient error may take.
type failures struct {
	tries     int         // that failed
	transient int         // of them, with a transient error
	failedAt  time.Time   // the first
	failed    error       // the last
	class     fault.Class // of that
	since     time.Time   // of that class in a row
}

func (f *failures) add(err error, class fault.Class, now time.Time) {
	if f.failedAt.IsZero() {
		f.failedAt = now
	}
	if f.tries == 0 || f.class != class {
		f.class, f.since = class, now
	}
	f.failed = err
	f.tries++
	if class == fault.Transient {
		f.transient++
	}
}

// Limits of the retries of transient errors, after which the event is parked.
const (
	transientTries = 10
	transientFor   = 2 * time.Minute
)

// Limits of the retries of what is deferred: see retryAt.
const (
	retryMin = 10 * time.Second
	retryMax = time.Hour
	// maxNotReady is how often a chain that is retried may find its next dead letter not ready, some ten minutes in all,
	// before it waits for a person, as an event does that was held for as long.
	maxNotReady = 6
)

// retryAt is when the participant itself tries a dead letter again that failed after so many redrives: exponential from
// 10 s to 1 h with jitter, sooner when the error asks for it; zero: it waits for a person. retried: its chain was
// retried so far, so that what is behind a deferred event and not ready is tried on, for as long as it would have been
// held.
func retryAt(err error, redrives int, retried bool) time.Time {
	class := classOf(err)
	if class != fault.Deferred && (class != fault.NotYet || !retried || redrives >= maxNotReady) {
		return time.Time{}
	}
	d := retryIn(redrives, retryMax)
	if f, ok := errors.AsType[*fault.Error](err); ok && f.RetryAfter > 0 {
		d = min(d, f.RetryAfter)
	}
	return time.Now().Add(d + time.Millisecond).Truncate(time.Millisecond) // what is stored is not before what was asked
}

// retryIn is the wait after so many redrives that failed.
func retryIn(redrives int, most time.Duration) time.Duration {
	return wait.Jitter(min(most, retryMin<<min(redrives, 16)))
}
