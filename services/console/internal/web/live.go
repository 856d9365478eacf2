package web

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/lifecycle"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/pkg/telemetry"
)

const (
	// maxFollowed is how many orders one browser can follow.
	maxFollowed = 64
	// maxStreams is how many browsers can be live at once, and maxOfOne how many of one client.
	maxStreams = 256
	maxOfOne   = 64
	// heartbeat shows a reader's proxy that a quiet stream is alive, and patience is how long one write may take.
	heartbeat = 15 * time.Second
	patience  = 5 * time.Second
)

var openStreams = telemetry.StreamsOpen.UpDown()

// live is the one stream of a browser, for all of its visible pages (static/stream.js): the pulse; with ?flow what
// flows; and what becomes of each ?order=ID. A reader that comes back is told all of it at once, so nothing is missed.
// It ends with the token or session that it was asked with.
func (p *Pages) live(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	orders := query["order"]
	if len(orders) > maxFollowed {
		problem.Write(w, r, fault.Field("order", "must be given %d times at most", maxFollowed))
		return
	}
	leave, err := p.streams.Enter(r.Context())
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	defer leave()
	openStreams.Add(r.Context(), 1)
	defer openStreams.Add(context.WithoutCancel(r.Context()), -1)
	out := httpdoor.NewEvents(w, patience)
	var parts sync.WaitGroup
	defer parts.Wait()
	ctx, end := auth.WhileValid(r.Context())
	defer end()
	part := func(tell func()) {
		parts.Go(func() {
			defer end() // where one cannot write, none can
			tell()
		})
	}
	onMap := query.Has("flow")
	if p.cfg.Pulse != nil {
		part(func() { p.tellPulse(ctx, out, onMap) })
	}
	if p.cfg.Pulse != nil && onMap {
		part(func() { p.tellFlow(ctx, out) })
	}
	for _, id := range orders {
		part(func() { p.tellOrder(ctx, out, id) })
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		if out.Comment("alive") != nil {
			return // the reader is gone
		}
		select {
		case <-beat.C:
		case <-lifecycle.Draining(ctx):
			return
		case <-ctx.Done():
			return
		}
	}
}
