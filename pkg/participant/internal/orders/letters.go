package orders

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// Place is where a letter stands in its chain, -1: nowhere.
func (o *Order) Place(id string) int {
	return slices.IndexFunc(o.Parked, func(l Letter) bool { return l.ID == id })
}

// Waits says whether an event is parked.
func (o *Order) Waits(id string) bool { return o.Place(id) >= 0 }

// Park appends a letter to the chain that waits. Of its head retryAt counts: what is behind it is not tried before.
func (o *Order) Park(id, topic string, retryAt time.Time) {
	if len(o.Parked) == 0 {
		o.RetryAt = retryAt
	}
	o.Parked = append(o.Parked, Letter{ID: strings.Clone(id), Topic: strings.Clone(topic)})
	o.Changed = true
}

// Unpark takes a letter out. What stands behind a head that was discarded waits for a person, what stands behind
// another goes on being retried.
func (o *Order) Unpark(id string, kind deadletter.Kind) {
	i := o.Place(id)
	if i < 0 {
		return
	}
	o.Parked = slices.Delete(o.Parked, i, i+1)
	if len(o.Parked) == 0 || i == 0 && kind == deadletter.Discarded {
		o.RetryAt = time.Time{}
	}
	o.Changed = true
}

// FailedAgain remembers how many redrives of a letter failed, and when the chain is retried; a late copy changes
// nothing.
func (o *Order) FailedAgain(n deadletter.Record) {
	if i := o.Place(n.ID); i >= 0 && n.Redrives > o.Parked[i].Redrives {
		o.Parked[i].Redrives, o.RetryAt = n.Redrives, n.RetryAt
		o.Changed = true
	}
}

// Owes remembers that a letter is answered, and its outcome to be told by the request that led to it.
func (o *Order) Owes(id string) {
	o.see(id, SeenOwing)
}

// Settled remembers that a letter's outcome is told.
func (o *Order) Settled(id string) {
	o.see(id, SeenTold)
}

// Advance remembers how far a request has come, "" being none.
func (o *Order) Advance(request string, redriven int) {
	if request == "" || o.Saw(request) {
		return
	}
	if o.Asked.ID != request {
		o.Asked = Request{ID: strings.Clone(request)}
	}
	o.Asked.Redriven += redriven
	o.Changed = true
}

// formatParked writes a chain as id@topic*redrives, each part escaped.
func formatParked(chain []Letter) string {
	var b strings.Builder
	for i, w := range chain {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(url.QueryEscape(w.ID) + "@" + url.QueryEscape(w.Topic))
		if w.Redrives > 0 {
			b.WriteString("*" + strconv.Itoa(w.Redrives))
		}
	}
	return b.String()
}

func parseParked(s string) (chain []Letter, err error) {
	for _, f := range strings.Fields(s) {
		var w Letter
		f, times, again := strings.Cut(f, "*")
		id, topic, ok := strings.Cut(f, "@")
		if again {
			w.Redrives, err = strconv.Atoi(times)
		}
		if err == nil {
			w.ID, err = url.QueryUnescape(id)
		}
		if err == nil {
			w.Topic, err = url.QueryUnescape(topic)
		}
		if err != nil || !ok {
			return nil, fault.New(fault.Permanent, "%q is no letter of a chain", f)
		}
		chain = append(chain, w)
	}
	return chain, nil
}
