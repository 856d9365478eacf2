package httpapi

import (
	"context"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
)

// GetPulse implements GET /api/pulse.
func (s *Server) GetPulse(ctx context.Context, _ GetPulseRequestObject) (GetPulseResponseObject, error) {
	sample, _ := s.pulse.Look(ctx)
	if sample.At.IsZero() {
		return nil, fault.Later(time.Second, "the watch has only begun")
	}
	return GetPulse200JSONResponse(sample), nil
}
