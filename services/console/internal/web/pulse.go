package web

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/services/console/internal/pulse"
)

// flowEvery bounds how often a map is told what flows.
const flowEvery = 100 * time.Millisecond

// board is the pulse as it is shown: what stands where, by the name of the place. Pages are rendered with it, and their scripts are told
// what of it changes.
type board struct {
	Text   map[string]string   `json:"text"`
	State  map[string]string   `json:"state"`
	Line   map[string]string   `json:"line"`
	Orders map[string][]string `json:"orders"`
}

// T is the text at a place, S its state, O the orders that it names. The parts of a place's name are joined.
func (b board) T(place ...string) string   { return b.Text[strings.Join(place, "")] }
func (b board) S(place ...string) string   { return b.State[strings.Join(place, "")] }
func (b board) O(place ...string) []string { return b.Orders[strings.Join(place, "")] }

// Spark is a sparkline.
func (b board) Spark(name string) spark { return spark{name, b.Line[name]} }

type spark struct{ Name, Points string }

// tick is one invariant in the strip.
type tick struct{ Name, Title, Promise string }

// Ticks of the strip, in its order.
func (board) Ticks() []tick {
	return []tick{
		{"accounted", "Nothing lost", "Every order that was acknowledged is settled, in flight with somebody, or parked"},
		{"charges", "Charged once", "One charge and at most one refund for each order, as the log says"},
		{"mails", "Told once", "One mail for each fact that a customer is told"},
	}
}

// face writes a sample onto a board.
func face(s pulse.Sample) board {
	b := board{Text: map[string]string{}, State: map[string]string{}, Line: map[string]string{}, Orders: map[string][]string{}}
	b.Text["orders"] = perSecond(s.Orders)
	for i, name := range []string{"p50", "p95", "p99"} {
		b.Text[name] = "–"
		if s.Settled > 0 {
			b.Text[name] = lasted(s.Settle[i])
		}
	}
	b.Text["open"], b.Text["parked"], b.Text["duplicates"] = fmt.Sprint(s.Open), fmt.Sprint(s.Parked), fmt.Sprint(s.Duplicates)
	if b.Text["retries"] = "–"; s.Retries >= 0 && !s.At.IsZero() {
		b.Text["retries"] = fmt.Sprint(s.Retries)
	}
	b.State["parked"] = when(s.Parked > 0, "warn")
	switch {
	case s.At.IsZero():
		b.Text["said"] = "looking…"
	case s.Err != "":
		b.Text["said"] = "Kafka does not answer"
	case s.Read < 1:
		b.Text["said"] = fmt.Sprintf("reading the log, %d %%", int(100*s.Read))
	default:
		b.Text["said"] = ""
	}
	b.State["empty"] = when(!s.At.IsZero() && s.Err == "" && s.Known == 0, "shown")
	b.lines(s.History)
	b.verdicts(s.Verdicts)
	for topic, n := range s.Topics {
		b.Text["topic:"+topic] = perSecond(n)
	}
	for group, r := range s.Readers {
		b.Text["lag:"+group], b.Text["records:"+group] = lasted(r.Lag), fmt.Sprint(r.Records)
		b.Text["service:"+group], b.State["service:"+group] = cmp.Or(r.Stopped, "consumes"), when(r.Stopped != "", "stopped")
		b.Text["brief:"+group] = "lag " + lasted(r.Lag)
		if r.Stopped != "" {
			b.Text["brief:"+group] = r.Stopped + " · " + b.Text["brief:"+group]
		}
		for topic, n := range r.Topics {
			b.Text["reads:"+group+" "+topic] = perSecond(n)
		}
	}
	return b
}

func (b board) verdicts(verdicts []pulse.Verdict) {
	var alarm []string
	for _, t := range b.Ticks() {
		v := pulse.Verdict{Name: t.Name, State: pulse.Unchecked, Text: "not looked at yet"}
		if i := slices.IndexFunc(verdicts, func(v pulse.Verdict) bool { return v.Name == t.Name }); i >= 0 {
			v = verdicts[i]
		}
		b.State["tick:"+t.Name], b.Text["state:"+t.Name] = string(v.State), string(v.State)
		b.Text["tick:"+t.Name], b.Orders["tick:"+t.Name] = v.Text, v.Orders
		if v.State == pulse.Broken {
			alarm = append(alarm, t.Title+": broken")
		}
	}
	b.Text["alarm"] = strings.Join(alarm, ", ")
}

func when(yes bool, state string) string {
	if yes {
		return state
	}
	return ""
}

func perSecond(n float64) string {
	if n == 0 || n >= 100 {
		return fmt.Sprintf("%.0f/s", n)
	}
	return fmt.Sprintf("%.1f/s", n)
}

// lasted writes a duration as people read it.
func lasted(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return span(d)
}

// lines draws the sparklines, 60 s wide and 16 high, the newest at the right.
func (b *board) lines(history []pulse.Moment) {
	draw := func(name string, of func(pulse.Moment) float64) {
		most := 1.0
		for _, m := range history {
			most = max(most, of(m))
		}
		if len(history) < 2 {
			b.Line[name] = ""
			return
		}
		var points []string
		for i, m := range history {
			points = append(points, fmt.Sprintf("%d,%.1f", 60-len(history)+i, 15-14*of(m)/most))
		}
		b.Line[name] = strings.Join(points, " ")
	}
	draw("orders", func(m pulse.Moment) float64 { return float64(m.Orders) })
	draw("open", func(m pulse.Moment) float64 { return float64(m.Open) })
	draw("parked", func(m pulse.Moment) float64 { return float64(m.Parked) })
	draw("p95", func(m pulse.Moment) float64 { return m.P95.Seconds() })
}

// since is what of a board differs from an older one.
func (b board) since(old board) board {
	return board{
		Text: changed(b.Text, old.Text), State: changed(b.State, old.State), Line: changed(b.Line, old.Line),
		Orders: changed(b.Orders, old.Orders),
	}
}

func changed[V any](now, old map[string]V) map[string]V {
	now = maps.Clone(now)
	maps.DeleteFunc(now, func(k string, v V) bool { was, ok := old[k]; return ok && reflect.DeepEqual(was, v) })
	return now
}

// tellPulse tells what changes on the board, about once a second; and on a map what flows, at most ten times a second.
func (p *Pages) tellPulse(ctx context.Context, out *stream, flows bool) {
	var flow <-chan time.Time
	if flows {
		t := time.NewTicker(flowEvery)
		defer t.Stop()
		flow = t.C
	}
	again := time.NewTicker(heartbeat / 2) // the watch goes on only while somebody looks
	defer again.Stop()
	shown, counted := board{}, p.cfg.Pulse.Counts()
	for {
		s, fresh := p.cfg.Pulse.Look(ctx)
		now := face(s)
		if out.sendJSON("pulse", now.since(shown)) != nil {
			return // the reader is gone
		}
		shown = now
		for waiting := true; waiting; {
			select {
			case <-fresh:
				waiting = false
			case <-flow:
				if counts := p.cfg.Pulse.Counts(); !maps.Equal(counts, counted) {
					if out.sendJSON("flow", grown(counts, counted)) != nil {
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
