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

// reader reads the inputs of the tasks, one long poll after the other.
type reader[T Task] struct {
	*tasks[T]
	fetching bool
	asked    map[broker.TopicPartition]*Input // what the last fetch was for
	seldomAt time.Time                        // when the seldom inputs were last looked for
	fetchErr error
}

// SeldomNow has the next fetch ask for the seldom inputs as well.
func (r *reader[T]) SeldomNow() { r.seldomAt = time.Time{} }

// FetchErr is why the last fetch could not be made; nil when it could.
func (r *reader[T]) FetchErr() error { return r.fetchErr }

// fetch starts one long poll for all inputs that have room.
func (r *reader[T]) fetch(ctx context.Context) {
	if r.fetching || r.leaving {
		return
	}
	now := time.Now()
	clear(r.asked)
	room := r.h.Room()
	ps := r.positions(make([]broker.Position, 0, len(r.owned)*len(r.Inputs)), room, false)
	if len(ps) == 0 || now.Sub(r.seldomAt) >= SeldomEvery {
		ps = r.positions(ps, room, true)
		r.seldomAt = now
	}
	if len(ps) == 0 {
		return
	}
	r.fetching = true
	r.Go(func() {
		polled := telemetry.Poll(ctx, r.Name)
		got, err := r.Log.Fetch(ctx, ps)
		polled(got, err)
		r.Post(func() { r.received(got, err) })
	})
}

// positions adds where to go on with the inputs that have room, either the seldom ones or the others.
func (r *reader[T]) positions(ps []broker.Position, room func(t T, input int) bool, seldom bool) []broker.Position {
	for i, topic := range r.Inputs {
		if slices.Contains(r.Seldom, topic) != seldom {
			continue
		}
		for t, p := range r.Alive() {
			if in := p.Inputs[i]; room(t, i) {
				r.asked[in.TopicPartition] = in
				ps = append(ps, broker.Position{
					TopicPartition: in.TopicPartition, Offset: in.Cursor, MaxBytes: r.FetchBytes,
				})
			}
		}
	}
	return ps
}

// received takes in what a fetch brought.
func (r *reader[T]) received(got []broker.Fetched, err error) {
	r.fetching = false
	if r.fetchErr = err; err != nil {
		return // the client says it in one line, and waits before it answers again
	}
	for _, g := range got {
		t, ok := r.Task(g.Partition)
		if !ok || t.part().lost {
			continue
		}
		p := t.part()
		i := slices.Index(r.Inputs, g.Topic)
		in := p.Inputs[i]
		if r.asked[g.TopicPartition] != in {
			continue // of a task that was lost since
		}
		p.Moved = p.Moved || in.Cursor != g.Next
		switch {
		case errors.Is(g.Err, broker.ErrOutOfRange):
			r.outOfRange(t, i, g)
		case g.Err != nil:
			r.cannotRead(in, g.Err)
		default:
			in.Err = nil
			r.h.Receive(t, i, g)
			in.Cursor, in.End, in.toldAt = g.Next, g.End, time.Now()
			if slices.Contains(r.Seldom, in.Topic) && in.Cursor < in.End {
				r.SeldomNow() // there are more
			}
		}
	}
}

// cannotRead says what waiting will not mend (a topic that this service may not read). An outage the client tells.
func (r *reader[T]) cannotRead(in *Input, err error) {
	if fault.ClassOf(err) == fault.Permanent && in.Err == nil {
		r.Logger.Error("a topic cannot be read", "topic", in.Topic, "partition", in.Partition, "error", err)
	}
	in.Err = err
}

// outOfRange goes on at the log's start when what lay before it is gone by retention. A log that ends before what was
// read of it is another one, or lost records: a leader tells no end before it knows it (KIP-207).
func (r *reader[T]) outOfRange(t T, i int, g broker.Fetched) {
	in := t.part().Inputs[i]
	if in.Cursor > g.End {
		r.tellShorter(in.TopicPartition, in.Cursor, g.End)
		r.Lose(t, lostReplaced)
		return
	}
	r.h.Skip(t, i, g.Start)
	in.Cursor = g.Start
}
