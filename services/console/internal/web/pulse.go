package web

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"time"

	"github.com/troupe-dev/troupe/pkg/httpdoor"
)

// flowEvery bounds how often a map is told what flows.
const flowEvery = 100 * time.Millisecond

// tellPulse tells what stands in the strip, about once a second, as the layout's template writes it; and to a map what stands
// there, and at most ten times a second what flows.
func (p *Pages) tellPulse(ctx context.Context, out *httpdoor.Events, onMap bool) {
	var flow <-chan time.Time
	if onMap {
		t := time.NewTicker(flowEvery)
		defer t.Stop()
		flow = t.C
	}
	again := time.NewTicker(heartbeat / 2) // the watch goes on only while somebody looks
	defer again.Stop()
	counted := p.cfg.Pulse.Counts()
	for {
		sample, fresh := p.cfg.Pulse.Look(ctx)
		var parts bytes.Buffer
		err := p.pages["map"].ExecuteTemplate(&parts, "pulse", &sample)
		if err == nil && onMap {
			err = p.pages["map"].ExecuteTemplate(&parts, "map", layout{Pulse: &sample, Page: p.chart})
		}
		if err != nil {
			slog.ErrorContext(ctx, "console page", "page", "pulse", "error", err)
			return
		}
		if out.Send("pulse", "", parts.String()) != nil {
			return // the reader is gone
		}
		for waiting := true; waiting; {
			select {
			case <-fresh:
				waiting = false
			case <-flow:
				if counts := p.cfg.Pulse.Counts(); !maps.Equal(counts, counted) {
					if out.Send("flow", "", grown(counts, counted)) != nil {
						return
					}
					counted = counts
				}
			case <-again.C:
				waiting = false
			case <-ctx.Done():
				return
			}
		}
	}
}

// grown is by how much counts grew.
func grown(now, before map[string]int64) map[string]int64 {
	more := map[string]int64{}
	for typ, n := range now {
		if d := n - before[typ]; d > 0 {
			more[typ] = d
		}
	}
	return more
}
