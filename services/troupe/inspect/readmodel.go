package inspect

import (
	"context"
	"fmt"
	"reflect"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/schemas/check"
	"github.com/troupe-dev/troupe/services/troupe/rest"
	"golang.org/x/sync/errgroup"
)

const (
	// readers is how many documents are read at once.
	readers  = 16
	pageSize = 100
)

// documents reads what the read model has of the expected orders.
func (s System) documents(
	ctx context.Context, orders map[string][]broker.Record, expected []check.Expected,
) (map[string]check.Document, error) {
	found := make([]check.Document, len(expected))
	err := each(len(expected), func(i int) (err error) {
		found[i], err = s.document(ctx, expected[i].ID, orders[expected[i].ID])
		return err
	})
	if err != nil {
		return nil, err
	}
	documents := map[string]check.Document{}
	for i, e := range expected {
		documents[e.ID] = found[i]
	}
	for token := ""; ; {
		page, err := s.Orders.List(ctx, rest.Filter{PageSize: pageSize, PageToken: token})
		if err != nil {
			return nil, fmt.Errorf("list the orders: %w", err)
		}
		for _, o := range page.Orders {
			if d, ok := documents[o.ID]; ok {
				d.Listed++
				documents[o.ID] = d
			}
		}
		if token = page.NextPageToken; token == "" {
			return documents, nil
		}
	}
}

// document reads an order's document, as it is stored and as a customer reads it.
func (s System) document(ctx context.Context, id string, records []broker.Record) (d check.Document, err error) {
	if len(records) == 0 {
		return d, nil
	}
	got, ok, err := s.Read(ctx, id)
	if err != nil {
		return d, fmt.Errorf("order %s: read the read model: %w", id, err)
	}
	if !ok {
		return check.Document{Missing: true}, nil
	}
	if want := s.Fold(records); !reflect.DeepEqual(got, want) {
		return check.Document{Differs: fmt.Sprintf("the read model says %+v, a fold of the log %+v", got, want)}, nil
	}
	o, err := s.Orders.Order(ctx, id, rest.Read{})
	if err != nil {
		return check.Document{Refused: err.Error()}, nil //nolint:nilerr // that is what was found
	}
	return check.Document{Status: o.Status, Payment: o.Payment.Status, Settled: o.Settled}, nil
}

// each calls f with 0 to n-1, several at once, and returns the first error after the last.
func each(n int, f func(i int) error) error {
	var g errgroup.Group
	g.SetLimit(readers)
	for i := range n {
		g.Go(func() error { return f(i) })
	}
	return g.Wait()
}
