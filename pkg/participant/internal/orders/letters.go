package orders

import (
	"slices"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/deadletter"
)

// Place is where a dead letter stands in its chain, -1: nowhere.
func (o *Order) Place(id string) int {
	return slices.IndexFunc(o.Parked, func(l Letter) bool { return l.ID == id })
}

// Waits says whether an event is parked.
func (o *Order) Waits(id string) bool { return o.Place(id) >= 0 }

// RetryAt is when the participant redrives the dead letters by itself, in whole milliseconds; zero: they wait for a
// person.
func (o *Order) RetryAt() time.Time {
	if o.RetryMs == 0 {
		return time.Time{}
	}
	return time.UnixMilli(o.RetryMs)
}

func (o *Order) retry(at time.Time) {
	if o.RetryMs = 0; !at.IsZero() {
		o.RetryMs = at.UnixMilli()
	}
	o.Changed = true
}

// Park appends a dead letter to the chain that waits. Of its head retryAt counts: what is behind it is not tried
// before.
func (o *Order) Park(id, topic string, retryAt time.Time) {
	if len(o.Parked) == 0 {
		o.retry(retryAt)
	}
	o.Parked = append(o.Parked, Letter{ID: strings.Clone(id), Topic: strings.Clone(topic)})
	o.Changed = true
}

// Unpark takes a dead letter out. What stands behind a head that was discarded waits for a person, what stands behind
// another goes on being retried.
func (o *Order) Unpark(id string, kind deadletter.Kind) {
	i := o.Place(id)
	if i < 0 {
		return
	}
	o.Parked = slices.Delete(o.Parked, i, i+1)
	if len(o.Parked) == 0 || i == 0 && kind == deadletter.Discarded {
		o.retry(time.Time{})
	}
	o.Changed = true
}

// FailedAgain remembers how many redrives of a dead letter failed, and when the chain is retried; a late copy changes
// nothing.
func (o *Order) FailedAgain(n deadletter.Record) {
	if i := o.Place(n.ID); i >= 0 && n.Redrives > o.Parked[i].Redrives {
		o.Parked[i].Redrives = n.Redrives
		o.retry(n.RetryAt)
	}
}

// Owes remembers that a dead letter is answered, and its outcome to be told by the request that led to it.
func (o *Order) Owes(id string) { o.see(id, Owing) }

// Settled remembers that a dead letter's outcome is told.
func (o *Order) Settled(id string) { o.see(id, Told) }

// Advance remembers how far a request has come, "" being none: how many dead letters it brought back.
func (o *Order) Advance(request string, redriven int) {
	if request == "" || o.Saw(request) {
		return
	}
	if o.Request != request {
		o.Request, o.Redriven = strings.Clone(request), 0
	}
	o.Redriven += redriven
	o.Changed = true
}
