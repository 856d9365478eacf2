package check

import (
	"context"
	"fmt"
	"reflect"
	"sync"

	"github.com/troupe-dev/troupe/services/troupe/rest"
)

// readers is how many documents are read at once.
const readers = 16

// readModel checks that every order's document is what a fold of the log makes of it.
func (s System) readModel(ctx context.Context, r *Report, l *log, expected []Expected) error {
	found := make([]string, len(expected))
	errs := make([]error, len(expected))
	each(len(expected), func(i int) {
		found[i], errs[i] = s.document(ctx, l, expected[i].ID)
	})
	for i, f := range found {
		if errs[i] != nil {
			return errs[i]
		}
		if f != "" {
			r.Violation(ReadModel, expected[i].ID, "%s", f)
		}
	}
	return s.lists(ctx, r, expected)
}

// lists checks that the list of all orders has each of them, once.
func (s System) lists(ctx context.Context, r *Report, expected []Expected) error {
	listed := map[string]int{}
	for token := ""; ; {
		page, err := s.Orders.List(ctx, rest.Filter{PageSize: pageSize, PageToken: token})
		if err != nil {
			return fmt.Errorf("list the orders: %w", err)
		}
		for _, o := range page.Orders {
			listed[o.ID]++
		}
		if token = page.NextPageToken; token == "" {
			break
		}
	}
	for _, e := range expected {
		if n := listed[e.ID]; n != 1 && !s.Parked[e.ID] {
			r.Violation(ReadModel, e.ID, "is in the list of orders %d times", n)
		}
	}
	return nil
}

const pageSize = 100

// document returns what is wrong with an order's document, or "".
func (s System) document(ctx context.Context, l *log, id string) (string, error) {
	if len(l.Orders[id]) == 0 {
		return "", nil // said already
	}
	got, ok, err := s.Read(ctx, id)
	if err != nil {
		return "", fmt.Errorf("order %s: read the read model: %w", id, err)
	}
	if !ok {
		return "is not in the read model", nil
	}
	if want := s.Fold(l.Orders[id]); !reflect.DeepEqual(got, want) {
		return fmt.Sprintf("the read model says %+v, a fold of the log %+v", got, want), nil
	}
	o, err := s.Orders.Order(ctx, id, rest.Read{})
	if err != nil {
		return fmt.Sprintf("cannot be read: %v", err), nil
	}
	if status, payment := l.facts(id).says(); o.Status != status || o.Payment.Status != payment || o.Settled != l.settled(id) {
		return fmt.Sprintf("a customer reads %s, payment %s, settled %t; the log says %s, payment %s",
			o.Status, o.Payment.Status, o.Settled, status, payment), nil
	}
	return "", nil
}

// says is what a customer must read.
func (f facts) says() (status, payment string) {
	status, payment = "placed", "pending"
	switch {
	case f.refunded > 0:
		payment = "refunded"
	case f.succeeded > 0:
		payment = "succeeded"
	case f.declined > 0:
		payment = "declined"
	}
	switch {
	case f.cancelled > 0:
		status = "cancelled"
	case f.confirmed > 0:
		status = "confirmed"
	}
	return status, payment
}

// settled is what the outcome asks for: confirmed, or cancelled with its payment declined or refunded.
func (l *log) settled(id string) bool {
	f := l.facts(id)
	return f.cancelled == 0 && f.confirmed > 0 || f.cancelled > 0 && f.declined+f.refunded > 0
}

// each calls f with 0 to n-1, several at once, and returns after the last.
func each(n int, f func(i int)) {
	var wg sync.WaitGroup
	next := make(chan int)
	for range min(readers, n) {
		wg.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}
