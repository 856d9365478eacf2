package httpapi

import (
	"context"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/services/console/internal/pulse"
)

// GetPulse implements GET /api/pulse.
func (s *Server) GetPulse(ctx context.Context, _ GetPulseRequestObject) (GetPulseResponseObject, error) {
	sample, _ := s.pulse.Look(ctx)
	if sample.At.IsZero() {
		return nil, fault.Later(time.Second, "the watch has only begun")
	}
	return GetPulse200JSONResponse(beat(sample)), nil
}

func beat(s pulse.Sample) Pulse {
	p := Pulse{
		At: s.At, Error: s.Err, OrdersPerSecond: s.Orders, SettledLastMinute: s.Settled, InFlight: s.Open, Parked: s.Parked,
		DuplicatesLastMinute: s.Duplicates, TopicsPerSecond: s.Topics, Groups: map[string]PulseGroup{}, Invariants: s.Verdicts,
	}
	p.SettleMs.P50, p.SettleMs.P95, p.SettleMs.P99 = s.Settle[0].Milliseconds(), s.Settle[1].Milliseconds(), s.Settle[2].Milliseconds()
	if p.TopicsPerSecond == nil {
		p.TopicsPerSecond = map[string]float64{}
	}
	if s.Retries >= 0 {
		p.RetriesLastMinute = &s.Retries
	}
	for name, reader := range s.Readers {
		p.Groups[name] = PulseGroup{Stopped: reader.Stopped, LagMs: reader.Lag.Milliseconds(), LagRecords: reader.Records}
	}
	return p
}
