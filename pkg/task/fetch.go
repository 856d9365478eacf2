package task

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/telemetry"
)

// SeldomNow has the next fetch ask for the seldom inputs as well.
func (e *Engine[T]) SeldomNow() { e.seldomAt = time.Time{} }

// FetchErr is why the last fetch could not be made; nil when it could.
func (e *Engine[T]) FetchErr() error { return e.fetchErr }

// fetch starts one long poll for all inputs that have room.
func (e *Engine[T]) fetch(ctx context.Context) {
	if e.fetching || e.leaving {
		return
	}
	now := time.Now()
	clear(e.asked)
	room := e.h.Room()
	ps := e.positions(make([]broker.Position, 0, len(e.tasks)*len(e.Inputs)), room, false)
	if len(ps) == 0 || now.Sub(e.seldomAt) >= SeldomEvery {
		ps = e.positions(ps, room, true)
		e.seldomAt = now
	}
	if len(ps) == 0 {
		return
	}
	e.fetching = true
	e.Go(func() {
		polled := telemetry.Poll(ctx, e.Name)
		got, err := e.Log.Fetch(ctx, ps)
		polled(got, err)
		e.Post(func() { e.received(got, err) })
	})
}

// positions adds where to go on with the inputs that have room, either the seldom ones or the others.
func (e *Engine[T]) positions(ps []broker.Position, room func(t T, input int) bool, seldom bool) []broker.Position {
	for i, topic := range e.Inputs {
		if slices.Contains(e.Seldom, topic) != seldom {
			continue
		}
		for _, t := range e.tasks {
			if p := t.part(); !p.lost && room(t, i) {
				in := p.Inputs[i]
				e.asked[in.TopicPartition] = in
				ps = append(ps, broker.Position{
					TopicPartition: in.TopicPartition, Offset: in.Cursor, MaxBytes: e.FetchBytes,
				})
			}
		}
	}
	return ps
}

// received takes in what a fetch brought.
func (e *Engine[T]) received(got []broker.Fetched, err error) {
	e.fetching = false
	if e.fetchErr = err; err != nil {
		return // the client says it in one line, and waits before it answers again
	}
	for _, g := range got {
		t, ok := e.Task(g.Partition)
		if !ok || t.part().lost {
			continue
		}
		p := t.part()
		i := slices.Index(e.Inputs, g.Topic)
		in := p.Inputs[i]
		if e.asked[g.TopicPartition] != in {
			continue // of a task that was lost since
		}
		p.Moved = p.Moved || in.Cursor != g.Next
		switch {
		case errors.Is(g.Err, broker.ErrOutOfRange):
			e.outOfRange(t, i, g)
		case g.Err != nil:
			e.cannotRead(in, g.Err)
		default:
			in.Err = nil
			e.h.Receive(t, i, g)
			in.Cursor, in.End, in.toldAt = g.Next, g.End, time.Now()
			if slices.Contains(e.Seldom, in.Topic) && in.Cursor < in.End {
				e.SeldomNow() // there are more
			}
		}
	}
}

// cannotRead says aloud what waiting will not mend (a topic that this service may not read). An outage the client says
// itself.
func (e *Engine[T]) cannotRead(in *Input, err error) {
	if fault.ClassOf(err) == fault.Permanent && in.Err == nil {
		e.Logger.Error("a topic cannot be read", "topic", in.Topic, "partition", in.Partition, "error", err)
	}
	in.Err = err
}

// outOfRange goes on at the log's start when what lay before it is gone by retention. A log that ends before what was
// read of it is another one, or lost records: a leader tells no end before it knows it (KIP-207).
func (e *Engine[T]) outOfRange(t T, i int, g broker.Fetched) {
	in := t.part().Inputs[i]
	if in.Cursor > g.End {
		e.tellShorter(in.TopicPartition, in.Cursor, g.End)
		e.Lose(t, lostReplaced)
		return
	}
	e.h.Skip(t, i, g.Start)
	in.Cursor = g.Start
}
