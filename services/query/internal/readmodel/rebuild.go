package readmodel

import (
	"context"

	"github.com/troupe-dev/troupe/pkg/projection/rebuild"
)

// Rebuild returns the last rebuild of each partition. Errors are Unavailable.
func (m *Model) Rebuild(ctx context.Context) ([]rebuild.Status, error) {
	return m.rebuilds.State(ctx)
}

// StartRebuild asks for a rebuild of every partition that has none under way. Conflict when none is left to ask; a read model that
// is not whole is the problem SlugBehind; other errors are Unavailable.
func (m *Model) StartRebuild(ctx context.Context) ([]rebuild.Status, error) {
	if err := m.whole(ctx); err != nil {
		return nil, err
	}
	return m.rebuilds.Start(ctx)
}

// CancelRebuild ends what is under way. Conflict when nothing is that could be cancelled; other errors are Unavailable.
func (m *Model) CancelRebuild(ctx context.Context) ([]rebuild.Status, error) {
	return m.rebuilds.Cancel(ctx)
}
