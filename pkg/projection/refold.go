package projection

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// maxRefolds bounds how many orders a pass folds again at once, in memory; others wait for the next.
const maxRefolds = 1000

// refolding is of the orders that are folded again from the start of the logs, because a fact contradicted an adopted
// head. The step that meets the fact passes over it and notes the order in the meta, so that whoever owns the partition
// folds it again. That goes on beside the cycle, in one pass for all of an instance: it costs the same for one order as
// for all of its partition. What comes of the order meanwhile is folded into the document that is there; when the pass
// has come as far as that, its document takes the other's place.
type refolding[D any] struct {
	busy  bool
	wait  *backoff
	at    time.Time              // not before
	pass  *refoldPass[D]         // to go on with; nil: a new one
	ready map[string][]*order[D] // by owner token of their task: to be written before it folds on
}

// refoldPass is one look through the logs of some partitions.
type refoldPass[D any] struct {
	orders    map[inPartition]*refold[D]
	at, until map[broker.TopicPartition]int64
}

type inPartition struct {
	partition int
	order     string
}

type refold[D any] struct {
	owner   string // of the task when the pass began
	fresh   *order[D]
	touched bool // the cycle has folded more of it than the pass reads
}

// pending notes an order that a fact contradicts. A space beside the live one was itself read from the log's start: to
// read that again would say the same.
func (w *work[D]) pending(o *order[D]) {
	if !w.live {
		o.confirm()
		o.changed = true
		return
	}
	w.contradicted = append(w.contradicted, o.id)
}

// noteRefolds makes the notes of a step part of its change.
func (c *cycle[D]) noteRefolds(w *work[D]) {
	if len(w.contradicted) == 0 {
		return
	}
	t, ids := w.task, w.contradicted
	var args []string
	for _, id := range ids {
		args = append(args, fieldRefold+id, "")
	}
	c.meta(t, t.change, "HSET", args...)
	t.change.then = func() {
		for _, id := range ids {
			if !t.refold[id] {
				c.watch.refold(t.partition, id)
			}
			t.refold[id] = true
			t.refolds++
		}
	}
}

// refoldNotes reads from the meta which orders are to be folded again.
func refoldNotes(meta map[string]string) map[string]bool {
	ids := map[string]bool{}
	for field := range meta {
		if id, ok := strings.CutPrefix(field, fieldRefold); ok {
			ids[id] = true
		}
	}
	return ids
}

// refolded chooses what was folded again and is written next. What is written has no note any more.
func (c *cycle[D]) refolded(t *task) []*order[D] {
	ready := slices.DeleteFunc(c.refolds.ready[t.owner], func(o *order[D]) bool { return !t.refold[o.id] })
	if len(ready) == 0 {
		delete(c.refolds.ready, t.owner)
		return nil
	}
	c.refolds.ready[t.owner] = ready
	return ready[:min(len(ready), stepItems)]
}

// replace puts what was folded again in the place of what the step has read of the orders. Where retention took all of
// an order meanwhile, there is nothing else to go by than what is there.
func (c *cycle[D]) replace(w *work[D]) {
	if len(w.refolded) == 0 {
		return
	}
	t, ids := w.task, make([]string, len(w.refolded))
	var notes []string
	for i, fresh := range w.refolded {
		o := w.recent.get([]byte(fresh.id))
		w.touched = append(w.touched, touched[D]{o, o.Doc})
		if fresh.Version > 0 {
			o.record = fresh.record
		}
		o.confirm()
		ids[i], notes = fresh.id, append(notes, fieldRefold+fresh.id)
	}
	c.meta(t, t.change, "HDEL", notes...)
	t.change.then = func() {
		for _, id := range ids {
			delete(t.refold, id)
		}
	}
}

// touch remembers that the cycle folds more of an order than a pass under way reads.
func (r *refolding[D]) touch(partition int, id string) {
	if r.pass == nil {
		return
	}
	if o := r.pass.orders[inPartition{partition, id}]; o != nil {
		o.touched = true
	}
}

// foldAgain starts a pass when there is something to fold again, or goes on with one whose orders were touched.
func (c *cycle[D]) foldAgain(ctx context.Context, wg *sync.WaitGroup) {
	r := &c.refolds
	if r.busy || time.Now().Before(r.at) {
		return
	}
	for _, t := range c.tasks {
		if t.taken && t.change != nil && len(t.refold) > 0 {
			return // what it has folded is not stored yet
		}
	}
	if r.pass == nil {
		r.pass = c.newPass()
	}
	if r.pass == nil {
		return
	}
	pass := r.pass
	pass.until = map[broker.TopicPartition]int64{}
	for _, o := range pass.orders {
		o.touched = false
	}
	for _, t := range c.tasks {
		for _, s := range t.sources[:len(c.b.Topics)] {
			if pass.has(t.partition) {
				pass.until[s.TopicPartition] = s.applied
			}
		}
	}
	r.busy = true
	wg.Go(func() {
		err := c.readAgain(ctx, pass)
		c.news <- func() { c.readThrough(ctx, pass, err) }
	})
}

// newPass takes in the orders that are to be folded again; nil: there are none. A task that has
// some to write waits with others.
func (c *cycle[D]) newPass() *refoldPass[D] {
	pass := &refoldPass[D]{orders: map[inPartition]*refold[D]{}}
	for _, t := range c.tasks {
		if !t.taken || len(c.refolds.ready[t.owner]) > 0 {
			continue
		}
		for id := range t.refold {
			if len(pass.orders) < maxRefolds {
				pass.orders[inPartition{t.partition, id}] = &refold[D]{owner: t.owner, fresh: newOrder(c.b, id)}
			}
		}
	}
	if len(pass.orders) == 0 {
		return nil
	}
	return pass
}

func (p *refoldPass[D]) has(partition int) bool {
	for at := range p.orders {
		if at.partition == partition {
			return true
		}
	}
	return false
}

// readAgain folds the orders of a pass from where it is until where the cycle was, beside the cycle.
func (c *cycle[D]) readAgain(ctx context.Context, p *refoldPass[D]) error {
	if p.at == nil {
		var logs []broker.TopicPartition
		for tp := range p.until {
			logs = append(logs, tp)
		}
		starts, err := c.cfg.Log.Starts(ctx, logs)
		if err != nil {
			return err
		}
		p.at = starts
	}
	for {
		var from []broker.Position
		for tp, until := range p.until {
			if p.at[tp] < until {
				from = append(from, broker.Position{TopicPartition: tp, Offset: p.at[tp], MaxBytes: fetchBytes})
			}
		}
		if len(from) == 0 {
			return nil
		}
		if err := c.fetchAgain(ctx, p, from); err != nil {
			return err
		}
	}
}

// fetchAgain reads once. That nothing comes although it was folded before is an error: the log is another one.
func (c *cycle[D]) fetchAgain(ctx context.Context, p *refoldPass[D], from []broker.Position) error {
	fetched, err := c.cfg.Log.Fetch(ctx, from)
	moved := false
	for _, f := range fetched {
		err = errors.Join(err, f.Err)
		moved = moved || f.Next > p.at[f.TopicPartition]
	}
	if err == nil && !moved {
		err = fault.New(fault.Unavailable, "the logs of partition %d end before what was read of them", from[0].Partition)
	}
	if err != nil {
		return err
	}
	for _, f := range fetched {
		_, source := c.find(f.TopicPartition)
		p.at[f.TopicPartition] = min(f.Next, p.until[f.TopicPartition])
		for i := range f.Records {
			r := &f.Records[i]
			o := p.orders[inPartition{f.Partition, string(r.Key)}]
			if o == nil || r.Offset >= p.until[f.TopicPartition] {
				continue
			}
			if e, err := c.envelope(source, r); err == nil {
				_, _ = o.fresh.take(c.b, source, e, At{f.TopicPartition, r.Offset})
			}
		}
	}
	return nil
}

// readThrough hears in the cycle that a pass has come to its end. Orders of which more was folded meanwhile are read
// on.
func (c *cycle[D]) readThrough(ctx context.Context, p *refoldPass[D], err error) {
	r := &c.refolds
	r.busy, r.pass = false, nil
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		c.watch.refoldFailed(err)
		r.at = time.Now().Add(r.wait.after())
		return
	}
	r.wait.reset()
	maps.DeleteFunc(r.ready, func(owner string, _ []*order[D]) bool {
		return !slices.ContainsFunc(c.tasks, func(t *task) bool { return t.owner == owner })
	})
	for at, o := range p.orders {
		t := c.taskOf(at.partition)
		switch {
		case t == nil || !t.taken || t.owner != o.owner || !t.refold[at.order]:
			delete(p.orders, at) // it is another's, or was folded anew as a whole
		case !o.touched:
			r.ready[o.owner] = append(r.ready[o.owner], o.fresh)
			delete(p.orders, at)
		}
	}
	if len(p.orders) > 0 {
		r.pass = p
	}
}
