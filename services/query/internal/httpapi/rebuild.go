package httpapi

import "context"

// GetRebuild implements GET /rebuild.
func (s *Server) GetRebuild(ctx context.Context, _ GetRebuildRequestObject) (GetRebuildResponseObject, error) {
	now, err := s.model.Rebuild(ctx)
	return GetRebuild200JSONResponse{RebuildNowJSONResponse(now)}, err
}

// StartRebuild implements POST /rebuild.
func (s *Server) StartRebuild(ctx context.Context, _ StartRebuildRequestObject) (StartRebuildResponseObject, error) {
	now, err := s.model.StartRebuild(ctx)
	return StartRebuild202JSONResponse{RebuildNowJSONResponse(now)}, err
}

// CancelRebuild implements DELETE /rebuild.
func (s *Server) CancelRebuild(ctx context.Context, _ CancelRebuildRequestObject) (CancelRebuildResponseObject, error) {
	now, err := s.model.CancelRebuild(ctx)
	return CancelRebuild202JSONResponse{RebuildNowJSONResponse(now)}, err
}
