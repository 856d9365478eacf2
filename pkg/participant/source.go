package participant

import (
	"time"

	"github.com/troupe-dev/troupe/pkg/task"
)

// Bounds of what the sources of an instance may hold in memory. A source at its bound is left out of the next fetch;
// the others go on. Cycles of a few thousand events cost least (docs/performance.md): larger ones gain nothing and no
// cache holds them.
const (
	maxEvents       = 8000 // not yet applied, of all sources of the instance together
	minWindowEvents = 64   // of one source, however many there are
	maxWindowEvents = 1000 // of one source, however few there are
	maxWindowBytes  = 8 << 20
	// maxBytes not yet applied, of all sources together: beyond it only sources that hold nothing are read on.
	maxBytes   = 64 << 20
	fetchBytes = 128 << 10
	// maxWindowKept bounds what was applied already but waits behind one that was not. It does not hold for a topic that
	// admission writes: there, what waits may wait for what is read next.
	maxWindowKept = 20_000
)

// source is one input of a task with the deliveries read but not yet both applied and settled, in log order.
type source struct {
	*task.Input
	window  []slot
	trimmed int // slots that left the window
	pending int // deliveries in the window not yet applied
	bytes   int // of those

	toRead  map[string]*delivery // by order: facts that wait for the next reading of this log, see chain.go
	reading bool                 // one is under way
}

// slot is the place of one record in a window. Of what is applied only the offset is of interest, and what must be
// settled before it may be committed.
type slot struct {
	d      *delivery // nil: applied
	offset int64
	entry  int64     // highest outbox number that must be settled
	time   time.Time // of the record
}

func (s *source) full(room int) bool { return s.pending >= room || s.bytes >= maxWindowBytes }

func (s *source) add(d *delivery) {
	d.slot = s.trimmed + len(s.window)
	s.window = append(s.window, slot{d: d, offset: d.rec.Offset, time: d.rec.Time})
	s.pending++
	s.bytes += d.rec.Bytes()
}

// markApplied forgets a delivery.
func (s *source) markApplied(d *delivery) {
	at := &s.window[d.slot-s.trimmed]
	at.d, at.entry = nil, d.entry
	s.pending--
	s.bytes -= d.rec.Bytes()
}

// applied is the lowest offset not yet applied.
func (s *source) applied() int64 {
	for _, at := range s.window {
		if at.d != nil {
			return at.offset
		}
	}
	return s.Cursor
}

// position is what applied will be after the change being made. What was applied above it is known by its seen mark.
func (s *source) position() int64 {
	for _, at := range s.window {
		if at.d != nil && !at.d.ready {
			return at.offset
		}
	}
	return s.Cursor
}

// folded is the offset below which every fact of this source is evolved, although requests among them may wait for
// their answer.
func (s *source) folded() int64 {
	for _, at := range s.window {
		if d := at.d; d != nil && !d.ready && !d.judged && (d.bad == nil && d.ev.Sequence > 0) {
			return at.offset
		}
	}
	return s.Cursor
}

// commitable is the lowest offset not yet applied, or whose order has something in the outbox: what is below may be
// forgotten by the group. It trims the window.
func (s *source) commitable(settled int64) int64 {
	n := 0
	for n < len(s.window) && s.window[n].d == nil && s.window[n].entry <= settled {
		n++
	}
	s.window = s.window[n:]
	s.trimmed += n
	if len(s.window) > 0 {
		return s.window[0].offset
	}
	return s.Cursor
}

// lag is how many records wait in memory, and when the oldest of them and the oldest that holds back the position were
// appended; zero: there is none.
func (s *source) lag() (records int, oldest, watermark time.Time) {
	if len(s.window) > 0 {
		watermark = s.window[0].time
	}
	for _, at := range s.window {
		if at.d != nil {
			oldest = at.time
			break
		}
	}
	return s.pending, oldest, watermark
}
