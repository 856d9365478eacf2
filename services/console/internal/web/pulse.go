package web

import (
	"bytes"
	"context"
	"log/slog"
	"time"

	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/wait"
)

// flowEvery bounds how often a map is told what flows.
const flowEvery = 100 * time.Millisecond

// tellPulse tells what stands in the strip, about once a second, as the layout's template writes it; and to a map what
// stands there.
func (p *Pages) tellPulse(ctx context.Context, out *httpdoor.Events, onMap bool) {
	again := time.NewTicker(heartbeat / 2) // the watch goes on only while somebody looks
	defer again.Stop()
	for ctx.Err() == nil {
		sample, fresh := p.cfg.Pulse.Look(ctx)
		var parts bytes.Buffer
		err := pages["map"].ExecuteTemplate(&parts, "pulse", &sample)
		if err == nil && onMap {
			err = pages["map"].ExecuteTemplate(&parts, "map", layout{Pulse: &sample, Page: p.chart})
		}
		if err != nil {
			slog.ErrorContext(ctx, "console page", "page", "pulse", "error", err)
			return
		}
		if out.Send("pulse", "", parts.String()) != nil {
			return // the reader is gone
		}
		select {
		case <-fresh:
		case <-again.C:
		case <-ctx.Done():
		}
	}
}

// tellFlow tells a map what flows, at most ten times a second.
func (p *Pages) tellFlow(ctx context.Context, out *httpdoor.Events) {
	counted := p.cfg.Pulse.Counts()
	for wait.Sleep(ctx, flowEvery) == nil {
		counts := p.cfg.Pulse.Counts()
		if more := grown(counts, counted); len(more) > 0 && out.Send("flow", "", more) != nil {
			return // the reader is gone
		}
		counted = counts
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
