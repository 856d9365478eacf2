package console

import (
	"context"
	"net/http"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/pkg/projection/rebuild"
)

// GetRebuild implements GET /api/rebuild.
func (d door) GetRebuild(ctx context.Context, _ GetRebuildRequestObject) (GetRebuildResponseObject, error) {
	all, err := d.model.Rebuild(ctx)
	if err != nil {
		return nil, err
	}
	return GetRebuild200JSONResponse{RebuildNowJSONResponse(shown(all))}, nil
}

// StartRebuild implements POST /api/rebuild.
func (d door) StartRebuild(ctx context.Context, _ StartRebuildRequestObject) (StartRebuildResponseObject, error) {
	all, err := d.model.StartRebuild(ctx)
	if fault.ClassOf(err) == fault.Conflict {
		return nil, problem.New(http.StatusConflict, "rebuild-running", "Rebuild running", err.Error())
	}
	if err != nil {
		return nil, err
	}
	return StartRebuild202JSONResponse{RebuildNowJSONResponse(shown(all))}, nil
}

// CancelRebuild implements DELETE /api/rebuild.
func (d door) CancelRebuild(ctx context.Context, _ CancelRebuildRequestObject) (CancelRebuildResponseObject, error) {
	all, err := d.model.CancelRebuild(ctx)
	if fault.ClassOf(err) == fault.Conflict {
		return nil, problem.New(http.StatusConflict, "no-rebuild", "No rebuild", err.Error())
	}
	if err != nil {
		return nil, err
	}
	return CancelRebuild202JSONResponse{RebuildNowJSONResponse(shown(all))}, nil
}

// shown are the rebuilds of all partitions.
func shown(all []rebuild.Status) Rebuild {
	shown := Rebuild{Partitions: make([]RebuildPartition, len(all))}
	for i, r := range all {
		shown.Active = shown.Active || r.State.Active()
		shown.Folded += r.Folded
		shown.Of += r.Of
		p := RebuildPartition{
			Partition: int32(r.Partition), State: RebuildPartitionState(r.State), RequestID: r.ID, Release: r.Release,
			Folded: r.Folded, Of: r.Of, Clearing: r.Clearing, RequestedAt: r.Requested, BeganAt: r.Began, EndedAt: r.Ended,
		}
		if p.State == "" {
			p.State = RebuildPartitionStateNone
		}
		shown.Partitions[i] = p
	}
	return shown
}
