package projection

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
)

const (
	// closeGap is how many records of a partition may be missing beside the live space for it to wait until none is.
	closeGap = 1000
	// closeWithin bounds that wait: the other log may be away.
	closeWithin = time.Second
)

// rebuild is what a task knows about folding its partition again, into a space beside the live one.
type rebuild struct {
	beside     *space // nil: none
	unreadable int64  // records of it
	level      bool   // both spaces are at the same positions, and every record goes into both
	forgot     bool   // level, and neither holds what is older than the retention
	found      *comparison
	held       time.Time // since when the live space waits for the other; zero: it does not
	spoiled    bool      // what is beside cannot be gone on with
	mixed      string    // the live space was folded by more than one version: so this is what it is called. Empty: it was not
	old        []string  // spaces whose keys are to be deleted
	cleared    []string  // those that are
	heard      bool
	asked      *request // not yet heeded
	status     Rebuild
}

// resume reads from the meta what is beside the live space.
func (c *cycle[D]) resume(t *task, meta map[string]string) {
	t.old = oldSpaces(meta)
	name, ok := meta[fieldBeside]
	if !ok {
		return
	}
	t.beside = newSpace(name, t.partition, c.topics)
	t.unreadable, _ = strconv.ParseInt(meta[prefixBeside+fieldUndecodable], 10, 64) // missing: none
	t.spoiled = meta[fieldBesideVersion] != c.b.version()
	for _, s := range t.beside.sources {
		n, err := strconv.ParseInt(meta[prefixBeside+fieldPosition+s.Topic], 10, 64)
		t.spoiled = t.spoiled || err != nil || n < 0
		s.cursor, s.applied = n, n
	}
}

// oldSpaces reads which spaces are to be deleted.
func oldSpaces(meta map[string]string) (names []string) {
	for field := range meta {
		if name, ok := strings.CutPrefix(field, fieldOld); ok {
			names = append(names, name)
		}
	}
	return names
}

// gap is how many records the live space has folded and the other one has not.
func (t *task) gap() (n int64) {
	for i, s := range t.sources {
		n += max(0, s.applied-t.beside.sources[i].applied)
	}
	return n
}

// reached says whether the other space is where the live one is.
func (t *task) reached() bool {
	if t.beside == nil || len(t.beside.pending) > 0 {
		return false
	}
	for i, s := range t.sources {
		if t.beside.sources[i].cursor < s.applied {
			return false
		}
	}
	return true
}

// closing says whether the live space waits for the last records of the other one.
func (t *task) closing() bool {
	if t.beside == nil || t.level || t.spoiled || t.gap() > closeGap {
		t.held = time.Time{}
		return false
	}
	if t.held.IsZero() {
		t.held = time.Now()
	}
	return time.Since(t.held) < closeWithin
}

// ready says whether there is something to do at once.
func (t *task) ready() bool {
	switch {
	case t.asked != nil || t.spoiled || t.found != nil || len(t.cleared) > 0:
		return true
	case t.beside != nil && !t.level && (len(t.beside.pending) > 0 || t.reached()), t.level && !t.forgot:
		return true
	}
	return len(t.pending) > 0 && !t.closing()
}

// steer returns the next change in the course of a rebuild; nil: fold.
func (c *cycle[D]) steer(t *task) *change {
	switch {
	case t.asked != nil:
		return c.heed(t)
	case t.spoiled:
		return c.abandon(t, t.status)
	case t.beside == nil && (t.mixed != "" || t.status.State.Active()):
		return c.begin(t)
	case len(t.cleared) > 0:
		return c.struck(t)
	case t.level && t.forgot && (t.mixed != "" || t.found != nil):
		return c.settle(t)
	case !t.level && t.reached():
		t.level, t.forgot = true, false
		return c.tell(t, func(r *Rebuild) { r.State, r.Of = Comparing, r.Folded })
	}
	return nil
}

// begin opens an empty space.
func (c *cycle[D]) begin(t *task) *change {
	s := newSpace("~"+strings.ToLower(rand.Text()[:8])+":", t.partition, c.topics)
	ch := c.tell(t, func(r *Rebuild) {
		*r = Rebuild{ID: r.ID, Keep: r.Keep, Requested: r.Requested, State: Folding, Began: time.Now().UTC(), Release: t.mixed != ""}
		for _, from := range t.sources {
			r.Of += from.applied
		}
	})
	args := []string{fieldBeside, s.name, fieldBesideVersion, c.b.version()}
	for _, to := range s.sources {
		args = append(args, prefixBeside+fieldPosition+to.Topic, "0")
	}
	c.meta(t, ch, "HSET", args...)
	ch.then = func() {
		t.beside, t.unreadable, t.level, t.found = s, 0, false, nil
		c.watch.rebuildBegan(t.partition, t.status)
	}
	return ch
}

// settle ends a rebuild: what was beside is live, or is dropped when it differs and the request said to keep what is live.
func (c *cycle[D]) settle(t *task) *change {
	end := t.status
	end.State, end.Ended = Swapped, time.Now().UTC()
	if f := t.found; f != nil {
		end.LiveHash, end.RebuiltHash = f.live.String(), f.beside.String()
		end.Differing, end.Differs = f.differing, f.first
		if f.differing > 0 && end.Keep {
			end.State = Kept
			return c.abandon(t, end)
		}
	}
	ch := c.tell(t, func(r *Rebuild) { *r = end })
	c.meta(t, ch, "HSET", fieldSpace, t.beside.name, fieldVersion, c.b.version(), fieldUndecodable, formatOffset(t.unreadable), fieldOld+t.name, "")
	gone := c.besideFields()
	for id := range t.refold { // it was folded anew, with all others
		gone = append(gone, fieldRefold+id)
	}
	for some := range slices.Chunk(gone, maxRefolds) {
		c.meta(t, ch, "HDEL", some...)
	}
	ch.swaps = t.beside
	ch.Ops = append(ch.Ops, c.told(t, "")) // those who wait for an order: it may have been healed
	ch.then = func() {
		t.old = append(t.old, t.name)
		t.name = t.beside.name // level: it goes on where the live one was
		t.beside, t.level, t.forgot, t.found, t.mixed = nil, false, false, nil, ""
		t.refold = map[string]bool{}
		c.watch.rebuildEnded(t.partition, end)
	}
	return ch
}

// abandon drops what is beside the live space.
func (c *cycle[D]) abandon(t *task, end Rebuild) *change {
	ch := c.tell(t, func(r *Rebuild) { *r = end })
	c.meta(t, ch, "HSET", fieldOld+t.beside.name, "")
	c.meta(t, ch, "HDEL", c.besideFields()...)
	ch.then = func() {
		t.old = append(t.old, t.beside.name)
		t.beside, t.level, t.forgot, t.found, t.spoiled = nil, false, false, nil, false
		c.watch.rebuildEnded(t.partition, end)
	}
	return ch
}

// struck takes spaces that are gone off the list.
func (c *cycle[D]) struck(t *task) *change {
	ch, gone := t.next(), t.cleared
	for _, name := range gone {
		c.meta(t, ch, "HDEL", fieldOld+name)
	}
	ch.then = func() {
		t.old = slices.DeleteFunc(t.old, func(name string) bool { return slices.Contains(gone, name) })
		t.cleared = nil
	}
	return ch
}

func (c *cycle[D]) besideFields() []string {
	fields := []string{fieldBeside, fieldBesideVersion, prefixBeside + fieldUndecodable}
	for _, topic := range c.topics {
		fields = append(fields, prefixBeside+fieldPosition+topic)
	}
	return fields
}

func (c *cycle[D]) meta(t *task, ch *change, cmd string, args ...string) {
	ch.Ops = append(ch.Ops, Op{Cmd: cmd, Key: c.store.Key(t.partition, keyMeta), Args: args})
}

// told wakes those who wait for a change of the partition, or of the orders that are packed in note.
func (c *cycle[D]) told(t *task, note string) Op {
	return Op{Cmd: "PUBLISH", Key: c.store.Key(t.partition, keyChanges), Args: []string{note}}
}

// fetchBeside reads what the live spaces have folded and those beside them have not.
func (c *cycle[D]) fetchBeside(ctx context.Context, wg *sync.WaitGroup) {
	if !c.beside.free() {
		return
	}
	epoch := map[broker.TopicPartition]*space{}
	var from []broker.Position
	for _, t := range c.tasks {
		if !t.taken || t.beside == nil || t.level || t.spoiled {
			continue
		}
		for i, s := range t.beside.sources {
			if s.pending < maxPending && s.cursor < t.sources[i].applied {
				epoch[s.TopicPartition] = t.beside
				from = append(from, broker.Position{TopicPartition: s.TopicPartition, Offset: s.cursor, MaxBytes: fetchBytes})
			}
		}
	}
	c.poll(ctx, wg, &c.beside, from, func(logs []broker.Fetched, err error) {
		records := 0
		for _, l := range logs {
			t, i := c.find(l.TopicPartition)
			if t == nil || t.beside == nil || t.beside != epoch[l.TopicPartition] || t.level {
				continue
			}
			if e := c.tookBeside(ctx, t, i, l); e != nil {
				err = e
			}
			records += len(l.Records)
		}
		c.fetched(ctx, &c.beside, records, err)
	})
}

// tookBeside queues what a fetch brought, as far as the live space is.
func (c *cycle[D]) tookBeside(ctx context.Context, t *task, i int, l broker.Fetched) error {
	if errors.Is(l.Err, broker.ErrOutOfRange) {
		return c.fromStart(ctx, t.beside, i)
	}
	if l.Err != nil {
		return l.Err
	}
	n := len(l.Records)
	for n > 0 && l.Records[n-1].Offset >= t.sources[i].applied {
		n--
	}
	if n < len(l.Records) {
		l.Records, l.Next = l.Records[:n], t.sources[i].applied
	}
	t.beside.add(i, l)
	return nil
}

// fromStart passes over what retention took before this rebuild.
func (c *cycle[D]) fromStart(ctx context.Context, s *space, i int) error {
	from := s.sources[i]
	starts, err := c.cfg.Log.Starts(ctx, []broker.TopicPartition{from.TopicPartition})
	if err != nil {
		return err
	}
	start := starts[from.TopicPartition]
	if from.cursor >= start {
		return fault.New(fault.Unavailable, "%s/%d ends before what was read of it, %d", from.Topic, from.Partition, from.cursor)
	}
	s.skip(i, start)
	return nil
}
