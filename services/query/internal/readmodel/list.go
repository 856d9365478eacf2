package readmodel

import "context"

// Filter of a list; empty fields let everything pass.
type Filter struct {
	Customer string
	Status   Status
}

// Bounds of a page.
const (
	defaultPage = 50
	maxPage     = 200
	maxRounds   = 5 // look-ups for one page, when few orders pass the filter
)

// List returns one page of orders, the newest first, and the token of the next page, empty when this is the last. size 0 means
// 50, more than 200 means 200. A page may be shorter without being the last. A wrong token is Invalid, a read model that is being
// rebuilt the problem SlugBehind.
func (m *Model) List(ctx context.Context, f Filter, size int, token string) (page []Found, next string, err error) {
	after, err := parsePage(token, f)
	if err != nil {
		return nil, "", err
	}
	if err := m.whole(ctx); err != nil {
		return nil, "", err
	}
	size = pageSize(size)
	for range maxRounds {
		refs, err := m.refs(ctx, walk{keys: []string{f.key()}}, after, size+1)
		if err != nil {
			return nil, "", err
		}
		found, err := m.documents(ctx, refs)
		if err != nil {
			return nil, "", err
		}
		for i := range found {
			if len(page) == size {
				return page, encodePage(*after, f), nil
			}
			after = &refs[i]
			if d := found[i]; d.Status() != "" && (f.Status == "" || d.Status() == f.Status) && (f.Customer == "" || d.Order.Customer == f.Customer) {
				page = append(page, d)
			}
		}
		if len(refs) <= size {
			return page, "", nil
		}
	}
	return page, encodePage(*after, f), nil
}

// key of the index with the fewest orders that may pass.
func (f Filter) key() string {
	switch {
	case f.Customer != "":
		return keyCustomer + f.Customer
	case f.Status != "":
		return keyStatus + string(f.Status)
	}
	return KeyAll
}
