package readmodel

import "context"

// Waiting returns orders without an outcome, the longest waiting first, at most n. Errors as those of List.
func (m *Model) Waiting(ctx context.Context, n int) ([]Found, error) {
	if err := m.whole(ctx); err != nil {
		return nil, err
	}
	refs, err := m.refs(ctx, walk{keys: openKeys, upwards: true}, nil, n)
	if err != nil {
		return nil, err
	}
	return m.documents(ctx, refs)
}
