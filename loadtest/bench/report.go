package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"
)

// Row is what the runs of one system come to. Spread is the slowest and the fastest run.
type Row struct {
	System string `json:"system"`
	Runs   int    `json:"runs"`
	// Rate in orders a second: median, and the spread.
	Rate, RateMin, RateMax float64
	// CPU, BrokerCPU and RedisCPU per order, medians.
	CPU, BrokerCPU, RedisCPU time.Duration
	Settled                  *Quantiles `json:"settled,omitempty"` // of the run with the median p99
	RSS                      int64      `json:"rss"`
	Duplicates               int        `json:"duplicates"`
}

func summary(name string, runs []Run) Row {
	r := Row{System: name, Runs: len(runs)}
	per := func(of func(Run) time.Duration) time.Duration {
		return median(runs, func(r Run) float64 { return float64(of(r)) / float64(r.Orders) }).asDuration()
	}
	rate := median(runs, func(r Run) float64 { return float64(r.Orders) / r.Took.Seconds() })
	r.Rate, r.RateMin, r.RateMax = rate.middle, rate.least, rate.most
	r.CPU = per(func(r Run) time.Duration { return r.CPU })
	r.BrokerCPU = per(func(r Run) time.Duration { return r.BrokerCPU })
	r.RedisCPU = per(func(r Run) time.Duration { return r.RedisCPU })
	r.RSS = int64(median(runs, func(r Run) float64 { return float64(r.RSS) }).middle)
	for _, run := range runs {
		r.Duplicates += run.Duplicates
	}
	if runs[0].Settled != nil {
		byP99 := slices.SortedFunc(slices.Values(runs), func(a, b Run) int { return int(a.Settled.P99 - b.Settled.P99) })
		r.Settled = byP99[len(byP99)/2].Settled
	}
	return r
}

type spread struct{ least, middle, most float64 }

func (s spread) asDuration() time.Duration { return time.Duration(s.middle) }

func median(runs []Run, of func(Run) float64) spread {
	var v []float64
	for _, r := range runs {
		v = append(v, of(r))
	}
	slices.Sort(v)
	return spread{v[0], v[len(v)/2], v[len(v)-1]}
}

// report prints the table, and writes the runs and a chart where that was asked for.
func report(o options, runs []Run) error {
	var rows []Row
	for _, name := range o.systems() {
		of := slices.DeleteFunc(slices.Clone(runs), func(r Run) bool { return r.System != name })
		if len(of) > 0 {
			rows = append(rows, summary(name, of))
		}
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "system\torders/s\tmin\tmax\tCPU/order\tbroker\tredis\tsettled p50\tp99\tRSS MB\ttwice\t")
	for _, r := range rows {
		p50, p99 := "-", "-"
		if r.Settled != nil && o.rate > 0 { // when all orders waited from the beginning, it is the length of the run
			p50, p99 = micros(r.Settled.P50), micros(r.Settled.P99)
		}
		fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%.0f\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t\n", r.System, r.Rate, r.RateMin, r.RateMax,
			r.CPU.Round(time.Microsecond), r.BrokerCPU.Round(time.Microsecond), r.RedisCPU.Round(time.Microsecond), p50, p99, r.RSS>>20, r.Duplicates)
	}
	if err := w.Flush(); err != nil || o.out == "" {
		return err
	}
	if err := os.MkdirAll(o.out, 0o750); err != nil {
		return err
	}
	data, err := json.MarshalIndent(map[string]any{"rows": rows, "runs": runs}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(o.out, "results.json"), append(data, '\n'), 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(o.out, "chart.svg"), chart(rows), 0o600)
}

func micros(n int64) string {
	return (time.Duration(n) * time.Microsecond).Round(100 * time.Microsecond).String()
}

// chart draws the rates as bars, with a line from the slowest to the fastest run.
func chart(rows []Row) []byte {
	const width, left, step = 720, 210, 34
	most := 1.0
	for _, r := range rows {
		most = max(most, r.RateMax)
	}
	at := func(rate float64) float64 { return left + rate/most*(width-left-90) }
	var b []byte
	b = fmt.Appendf(b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13" role="img">`+"\n",
		width, step*len(rows)+16)
	b = fmt.Appendf(b, "<title>orders per second, median of the runs</title>\n")
	for i, r := range rows {
		y := step*i + 8
		fill := "#8a94a6"
		if systems[r.System].troupe {
			fill = "#2f6fde"
		}
		b = fmt.Appendf(b, `<text x="%d" y="%d" text-anchor="end" fill="#667">%s</text>`+"\n", left-8, y+17, r.System)
		b = fmt.Appendf(b, `<rect x="%d" y="%d" width="%.1f" height="24" fill="%s"/>`+"\n", left, y, at(r.Rate)-left, fill)
		b = fmt.Appendf(b, `<path d="M%.1f %dH%.1f" stroke="#223" stroke-width="2"/>`+"\n", at(r.RateMin), y+12, at(r.RateMax))
		b = fmt.Appendf(b, `<text x="%.1f" y="%d" fill="#667">%.0f</text>`+"\n", at(r.RateMax)+8, y+17, r.Rate)
	}
	return append(b, "</svg>\n"...)
}
