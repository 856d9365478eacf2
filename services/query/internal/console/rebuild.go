package console

import (
	"context"
	"net/http"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/pkg/projection"
)

// GetRebuild implements GET /api/rebuild.
func (d door) GetRebuild(ctx context.Context, _ GetRebuildRequestObject) (GetRebuildResponseObject, error) {
	all, err := d.model.Rebuild(ctx)
	if err != nil {
		return nil, err
	}
	return GetRebuild200JSONResponse{RebuildNowJSONResponse(rebuild(all))}, nil
}

// StartRebuild implements POST /api/rebuild.
func (d door) StartRebuild(ctx context.Context, req StartRebuildRequestObject) (StartRebuildResponseObject, error) {
	all, err := d.model.StartRebuild(ctx, req.Body.Keep)
	if fault.ClassOf(err) == fault.Conflict {
		return nil, problem.New(http.StatusConflict, "rebuild-running", "Rebuild running", err.Error())
	}
	if err != nil {
		return nil, err
	}
	return StartRebuild202JSONResponse{RebuildNowJSONResponse(rebuild(all))}, nil
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
	return CancelRebuild202JSONResponse{RebuildNowJSONResponse(rebuild(all))}, nil
}

// rebuild shows the rebuilds of all partitions.
func rebuild(all []projection.Rebuild) Rebuild {
	shown := Rebuild{Partitions: make([]RebuildPartition, len(all))}
	for i, r := range all {
		shown.Active = shown.Active || r.State.Active()
		shown.Folded += r.Folded
		shown.Of += r.Of
		shown.Differing += int64(r.Differing)
		p := RebuildPartition{
			Partition: int32(r.Partition), State: RebuildPartitionState(r.State), RequestID: r.ID, Keep: r.Keep, Release: r.Release,
			Folded: r.Folded, Of: r.Of, LiveHash: r.LiveHash, RebuiltHash: r.RebuiltHash, Differing: int64(r.Differing), Differs: r.Differs,
			Clearing: r.Clearing, RequestedAt: r.Requested, BeganAt: r.Began, EndedAt: r.Ended,
		}
		if p.State == "" {
			p.State = RebuildPartitionStateNone
		}
		if p.Differs == nil {
			p.Differs = []string{}
		}
		shown.Partitions[i] = p
	}
	return shown
}
