package participant

import (
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
)

// Bounds of what one source may hold in memory. A source at a bound is left out of the next fetch; the others go on.
const (
	maxWindowEvents = 2000
	maxWindowBytes  = 8 << 20
	fetchBytes      = 1 << 20
	// maxWindowKept bounds what was applied already but waits behind one that was not. It does not hold for a topic that a door
	// writes: there, what waits may wait for what is read next.
	maxWindowKept = 10 * maxWindowEvents
)

// source is one input topic of a task: where to read next, and the deliveries read but not yet both applied and settled,
// in log order.
type source struct {
	broker.TopicPartition
	cursor    int64 // next offset to fetch
	end       int64 // of the log, as the last fetch told it; -1 before
	window    []*delivery
	pending   int       // deliveries in the window not yet applied
	bytes     int       // of those
	committed int64     // last offset committed; -1: none
	toldAt    time.Time // when a fetch told the end
	missedAt  time.Time // since when the log holds what was not fetched; zero: it does not
	denied    error     // why the broker will not let it be read; nil when it does
}

func (s *source) full() bool { return s.pending >= maxWindowEvents || s.bytes >= maxWindowBytes }

func (s *source) add(d *delivery) {
	s.window = append(s.window, d)
	s.pending++
	s.bytes += len(d.rec.Value)
}

// markApplied forgets the body of a delivery: only its offset is of interest from now on.
func (s *source) markApplied(d *delivery) {
	d.applied = true
	s.pending--
	s.bytes -= len(d.rec.Value)
	d.rec.Value, d.rec.Headers, d.rec.Key, d.ev.Data, d.asks = nil, nil, nil, nil, nil
}

// position is the lowest offset not yet applied. What was applied above it is known by its seen mark. ready are deliveries that the
// change being made applies.
func (s *source) position(ready map[*delivery]bool) int64 {
	for _, d := range s.window {
		if !d.applied && !ready[d] {
			return d.rec.Offset
		}
	}
	return s.cursor
}

// folded is the offset below which every fact of this source is evolved, although requests among them may wait for their answer.
func (s *source) folded(ready map[*delivery]bool) int64 {
	for _, d := range s.window {
		if !d.applied && !ready[d] && !d.judged && (d.bad == nil && d.ev.Sequence > 0) {
			return d.rec.Offset
		}
	}
	return s.cursor
}

// commitable is the lowest offset not yet applied, or whose order has something in the outbox: what is below may be forgotten
// by the group. It trims the window.
func (s *source) commitable(settled int64) int64 {
	n := 0
	for n < len(s.window) && s.window[n].applied && s.window[n].entry <= settled {
		n++
	}
	clear(s.window[:n])
	s.window = s.window[n:]
	if len(s.window) > 0 {
		return s.window[0].rec.Offset
	}
	return s.cursor
}
