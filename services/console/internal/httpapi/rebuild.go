package httpapi

import (
	"context"

	"github.com/troupe-dev/troupe/pkg/view"
)

// rebuildable is a read model that can be rebuilt: the console's, or query's by its REST.
type rebuildable interface {
	Rebuild(context.Context) (view.Rebuild, error)
	StartRebuild(context.Context) (view.Rebuild, error)
	CancelRebuild(context.Context) (view.Rebuild, error)
}

func (s *Server) readModel(of ReadModel) rebuildable {
	if of == ReadModelConsole {
		return s.model
	}
	return s.orders
}

// GetRebuild implements GET /api/rebuild.
func (s *Server) GetRebuild(ctx context.Context, req GetRebuildRequestObject) (GetRebuildResponseObject, error) {
	now, err := s.readModel(req.Params.Of).Rebuild(ctx)
	return GetRebuild200JSONResponse{RebuildNowJSONResponse(now)}, err
}

// StartRebuild implements POST /api/rebuild.
func (s *Server) StartRebuild(ctx context.Context, req StartRebuildRequestObject) (StartRebuildResponseObject, error) {
	now, err := s.readModel(req.Params.Of).StartRebuild(ctx)
	return StartRebuild202JSONResponse{RebuildNowJSONResponse(now)}, err
}

// CancelRebuild implements DELETE /api/rebuild.
func (s *Server) CancelRebuild(ctx context.Context, req CancelRebuildRequestObject) (CancelRebuildResponseObject, error) {
	now, err := s.readModel(req.Params.Of).CancelRebuild(ctx)
	return CancelRebuild202JSONResponse{RebuildNowJSONResponse(now)}, err
}
