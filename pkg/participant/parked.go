package participant

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// waiting is a letter in its order's chain. What the letter says is in the store.
type waiting struct {
	id       string
	topic    string // that the event came from
	redrives int    // that failed
}

// asked is a request under way, so that it resumes after a crash.
type asked struct {
	ID       string
	Redriven int
}

func (o *order) place(id string) int {
	return slices.IndexFunc(o.parked, func(w waiting) bool { return w.id == id })
}

// waits says whether an event is parked.
func (o *order) waits(id string) bool { return o.place(id) >= 0 }

// park appends a letter to the chain that waits. Of its head retryAt counts: what is behind it is not tried before.
func (o *order) park(id, topic string, retryAt time.Time) {
	if len(o.parked) == 0 {
		o.retryAt = retryAt
	}
	o.parked = append(o.parked, waiting{id: strings.Clone(id), topic: strings.Clone(topic)})
	o.changed = true
}

// unpark takes a letter out. What stands behind a head that was discarded waits for a person, what stands behind another goes on
// being retried.
func (o *order) unpark(id string, kind deadletter.Kind) {
	i := o.place(id)
	if i < 0 {
		return
	}
	o.parked = slices.Delete(o.parked, i, i+1)
	if len(o.parked) == 0 || i == 0 && kind == deadletter.Discarded {
		o.retryAt = time.Time{}
	}
	o.changed = true
}

// failedAgain remembers how many redrives of a letter failed, and when the chain is retried; a late copy changes nothing.
func (o *order) failedAgain(n deadletter.Record) {
	if i := o.place(n.ID); i >= 0 && n.Redrives > o.parked[i].redrives {
		o.parked[i].redrives, o.retryAt = n.Redrives, n.RetryAt
		o.changed = true
	}
}

// owes remembers that a letter is answered, and its outcome to be told by the request that led to it.
func (o *order) owes(id string) {
	o.see(id, seenOwing)
}

// settled remembers that a letter's outcome is told.
func (o *order) settled(id string) {
	o.see(id, seenTold)
}

// advance remembers how far a request has come, "" being none.
func (o *order) advance(request string, redriven int) {
	if request == "" || o.saw(request) {
		return
	}
	if o.asked.ID != request {
		o.asked = asked{ID: strings.Clone(request)}
	}
	o.asked.Redriven += redriven
	o.changed = true
}

// formatParked writes a chain as id@topic*redrives, each part escaped.
func formatParked(chain []waiting) string {
	var b strings.Builder
	for i, w := range chain {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(url.QueryEscape(w.id) + "@" + url.QueryEscape(w.topic))
		if w.redrives > 0 {
			b.WriteString("*" + strconv.Itoa(w.redrives))
		}
	}
	return b.String()
}

func parseParked(s string) (chain []waiting, err error) {
	for _, f := range strings.Fields(s) {
		var w waiting
		f, times, again := strings.Cut(f, "*")
		id, topic, ok := strings.Cut(f, "@")
		if again {
			w.redrives, err = strconv.Atoi(times)
		}
		if err == nil {
			w.id, err = url.QueryUnescape(id)
		}
		if err == nil {
			w.topic, err = url.QueryUnescape(topic)
		}
		if err != nil || !ok {
			return nil, fault.New(fault.Permanent, "%q is no letter of a chain", f)
		}
		chain = append(chain, w)
	}
	return chain, nil
}
