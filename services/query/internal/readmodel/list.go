package readmodel

import (
	"context"

	"github.com/troupe-dev/troupe/pkg/view"
)

// Filter of a list; empty fields let everything pass.
type Filter struct {
	Customer string
	Status   Status
	// Open: only orders without an outcome, the longest waiting first; a customer's, the first placed first.
	Open bool
}

// maxRounds bounds the look-ups for one page, when few orders pass the filter.
const maxRounds = 5

// List returns one page of orders, the newest first unless f says otherwise, and the token of the next page, empty when this is the last. size 0 means
// 50, more than 200 means 200. A page may be shorter without being the last. A wrong token is Invalid, a read model that is being
// rebuilt the problem view.SlugBehind.
func (m *Model) List(ctx context.Context, f Filter, size int, token string) (page []Found, next string, err error) {
	after, err := view.ParsePage(token, f)
	if err != nil {
		return nil, "", err
	}
	size = view.PageSize(size)
	for range maxRounds {
		refs, err := m.Places(ctx, f.list(), after, size+1)
		if err != nil {
			return nil, "", err
		}
		found, err := m.Documents(ctx, refs)
		if err != nil {
			return nil, "", err
		}
		for i := range found {
			if len(page) == size {
				return page, view.EncodePage(*after, f), nil
			}
			after = &refs[i]
			if d := found[i].Doc; f.passes(d) {
				page = append(page, Found{ID: refs[i].ID, Document: d, Version: found[i].Version})
			}
		}
		if len(refs) <= size {
			return page, "", nil
		}
	}
	return page, view.EncodePage(*after, f), nil
}

func (f Filter) passes(d Document) bool {
	return d.Status() != "" && (f.Status == "" || d.Status() == f.Status) &&
		(f.Customer == "" || d.Order.Customer == f.Customer) && (!f.Open || d.Settled() == 0)
}

// list is the index with the fewest orders that may pass. A customer's is always its own: a page's token holds the last
// place that was looked at, in the clear.
func (f Filter) list() view.List {
	switch {
	case f.Customer != "":
		return view.List{Keys: []string{keyCustomer + f.Customer}, Upwards: f.Open}
	case f.Open:
		return view.List{Keys: openKeys, Upwards: true}
	case f.Status != "":
		return view.List{Keys: []string{keyStatus + string(f.Status)}}
	}
	return view.List{Keys: []string{KeyAll}}
}
