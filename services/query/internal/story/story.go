package story

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/projection"
)

const (
	// parallel is how many events of a story are read at once.
	parallel = 8
	// readWithin bounds reading a whole story.
	readWithin = 10 * time.Second
)

// Read reads the events of one order from where they lie, each after its cause, otherwise by time. What retention has taken
// is left out. It blocks until all are read; errors are Unavailable.
func Read(ctx context.Context, log broker.Log, orderID string, at []projection.At) ([]Event, error) {
	ctx, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	var wg sync.WaitGroup
	found := make([]*Event, len(at))
	errs := make([]error, len(at))
	slots := make(chan struct{}, parallel)
	for i, a := range at {
		slots <- struct{}{}
		wg.Go(func() {
			found[i], errs[i] = read(ctx, log, orderID, a)
			<-slots
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, fault.As(fault.Unavailable, err)
	}
	var events []Event
	for _, e := range found {
		if e != nil {
			events = append(events, *e)
		}
	}
	return tell(events), nil
}

// read reads one event; nil when the log no longer holds it.
func read(ctx context.Context, log broker.Log, orderID string, at projection.At) (*Event, error) {
	got, err := log.Fetch(ctx, []broker.Position{{TopicPartition: at.TopicPartition, Offset: at.Offset, MaxBytes: 1}})
	if err != nil {
		return nil, err
	}
	for _, f := range got {
		switch {
		case errors.Is(f.Err, broker.ErrOutOfRange):
			return nil, nil
		case f.Err != nil:
			return nil, f.Err
		}
		for _, r := range f.Records {
			if r.Offset == at.Offset && string(r.Key) == orderID {
				if e, ok := show(r); ok {
					return &e, nil
				}
			}
		}
	}
	return nil, nil
}

// tell puts each event after its cause, otherwise by time, and measures the gaps.
func tell(events []Event) []Event {
	slices.SortFunc(events, func(a, b Event) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Offset, b.Offset))
	})
	byID := map[string]int{}
	for i, e := range events {
		byID[e.ID] = i
	}
	told := make([]Event, 0, len(events))
	visited := make([]bool, len(events))
	var visit func(i int)
	visit = func(i int) {
		if visited[i] {
			return
		}
		visited[i] = true
		e := events[i]
		if cause, ok := byID[e.CausationID]; ok && cause != i {
			visit(cause)
			gap := e.Time.Sub(events[cause].Time)
			e.Gap = &gap
		}
		told = append(told, e)
	}
	for i := range events {
		visit(i)
	}
	return told
}
