package check

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"sync"

	"github.com/troupe-dev/troupe/services/troupe/internal/rest"
)

// readers is how many documents are read at once.
const readers = 16

// readModel checks that every order's document is what a fold of the log makes of it.
func (s System) readModel(ctx context.Context, r *Report, l *Log, expected []Expected) error {
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
			r.violation("%s", f)
		}
	}
	return nil
}

// document returns what is wrong with an order's document, or "".
func (s System) document(ctx context.Context, l *Log, id string) (string, error) {
	if len(l.Orders[id]) == 0 {
		return "", nil // said already
	}
	o, err := s.Orders.Order(ctx, id, rest.Read{})
	if err != nil {
		return fmt.Sprintf("order %s cannot be read: %v", id, err), nil
	}
	folded, err := json.Marshal(s.Fold(l.Orders[id]))
	if err != nil {
		return "", fmt.Errorf("order %s: fold: %w", id, err)
	}
	got, err := plain(o.Raw)
	if err != nil {
		return "", fmt.Errorf("order %s: %w", id, err)
	}
	want, err := plain(folded)
	if err != nil {
		return "", fmt.Errorf("order %s: fold: %w", id, err)
	}
	if !reflect.DeepEqual(got, want) {
		return fmt.Sprintf("order %s: the read model says %s, a fold of the log %s", id, bytes.TrimSpace(o.Raw), folded), nil
	}
	return "", nil
}

// plain decodes JSON without losing digits.
func plain(raw []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	return v, d.Decode(&v)
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
