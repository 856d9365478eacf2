package view

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/pkg/projection"
	"github.com/troupe-dev/troupe/pkg/projection/rebuild"
)

// Rebuild is the schema Rebuild of the contracts: the last rebuild of every partition.
type Rebuild struct {
	// Active: some partition is under way.
	Active bool `json:"active"`
	// Folded are the records that were folded again, of as many as there are.
	Folded     int64              `json:"folded"`
	Of         int64              `json:"of"`
	Partitions []RebuildPartition `json:"partitions"`
}

// RebuildPartition is the schema RebuildPartition of the contracts.
type RebuildPartition struct {
	Partition int       `json:"partition"`
	State     string    `json:"state"`
	RequestID string    `json:"request_id,omitempty"`
	Release   bool      `json:"release,omitempty"`
	Folded    int64     `json:"folded"`
	Of        int64     `json:"of"`
	Clearing  bool      `json:"clearing"`
	Requested time.Time `json:"requested_at,omitzero"`
	Began     time.Time `json:"began_at,omitzero"`
	Ended     time.Time `json:"ended_at,omitzero"`
}

// none is the state of a partition that was never rebuilt since Redis was wiped.
const none = "none"

// Rebuild returns the last rebuild of each partition. Errors are Unavailable.
func (v *View[D]) Rebuild(ctx context.Context) (Rebuild, error) { return shown(v.rebuilds.State(ctx)) }

// StartRebuild asks for a rebuild of every partition that has none under way. The problem rebuild-running when none is
// left to ask, SlugBehind of a read model that is not whole; other errors are Unavailable.
func (v *View[D]) StartRebuild(ctx context.Context) (Rebuild, error) {
	if err := v.Read(ctx, func(projection.Pipes, projection.Keys) {}); err != nil {
		return Rebuild{}, err
	}
	r, err := shown(v.rebuilds.Start(ctx))
	return r, conflict(err, "rebuild-running", "Rebuild running")
}

// CancelRebuild ends what is under way. The problem no-rebuild when nothing is that could be cancelled; other
// errors are Unavailable.
func (v *View[D]) CancelRebuild(ctx context.Context) (Rebuild, error) {
	r, err := shown(v.rebuilds.Cancel(ctx))
	return r, conflict(err, "no-rebuild", "No rebuild")
}

func conflict(err error, slug, title string) error {
	if fault.ClassOf(err) == fault.Conflict {
		return problem.New(http.StatusConflict, slug, title, err.Error())
	}
	return err
}

func shown(all []rebuild.Status, err error) (Rebuild, error) {
	r := Rebuild{Partitions: make([]RebuildPartition, len(all))}
	for i, s := range all {
		r.Active = r.Active || s.State.Active()
		r.Folded += s.Folded
		r.Of += s.Of
		r.Partitions[i] = RebuildPartition{
			Partition: s.Partition, State: cmp.Or(string(s.State), none), RequestID: s.ID, Release: s.Release,
			Folded: s.Folded, Of: s.Of, Clearing: s.Clearing, Requested: s.Requested, Began: s.Began, Ended: s.Ended,
		}
	}
	return r, err
}
