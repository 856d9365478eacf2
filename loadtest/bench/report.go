package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/troupe-dev/troupe/loadtest/measure"
)

// report prints a row for each system: of each figure the median of its runs, and from the least to the most.
func report(out io.Writer, o options, runs []Run) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "system\torders/s\tCPU/order\tbroker\tredis\tsettled p50\tp99\tRSS MB\ttwice\t")
	for _, name := range o.systems() {
		of := slices.DeleteFunc(slices.Clone(runs), func(r Run) bool { return r.System != name })
		if len(of) == 0 {
			continue
		}
		number := func(figure func(Run) float64) string { return numbers(measure.SpreadOf(of, figure)) }
		duration := func(figure func(Run) time.Duration) string {
			return times(measure.SpreadOf(of, func(r Run) float64 { return float64(figure(r)) }))
		}
		each := func(used func(Run) time.Duration) string {
			return duration(func(r Run) time.Duration { return used(r) / time.Duration(r.Orders) })
		}
		p50, p99, twice := "-", "-", 0
		if o.rate > 0 { // when all orders waited from the beginning, it is the length of the run
			p50 = duration(func(r Run) time.Duration { return microseconds(r.Settled.P50) })
			p99 = duration(func(r Run) time.Duration { return microseconds(r.Settled.P99) })
		}
		for _, r := range of {
			twice += r.Duplicates
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t\n", name,
			number(func(r Run) float64 { return float64(r.Orders) / r.Took.Seconds() }),
			each(func(r Run) time.Duration { return r.CPU }), each(func(r Run) time.Duration { return r.BrokerCPU }),
			each(func(r Run) time.Duration { return r.RedisCPU }), p50, p99,
			number(func(r Run) float64 { return float64(r.RSS) / (1 << 20) }), twice)
	}
	return w.Flush()
}

func microseconds(n int64) time.Duration { return time.Duration(n) * time.Microsecond }

func numbers(s measure.Spread) string { return spread(s, 1, 0, "") }

// times are written in whole microseconds, or, from a millisecond on, in milliseconds with three digits.
func times(s measure.Spread) string {
	const µs, ms = float64(time.Microsecond), float64(time.Millisecond)
	switch {
	case s.Middle < ms:
		return spread(s, µs, 0, " µs")
	case s.Middle < 10*ms:
		return spread(s, ms, 2, " ms")
	case s.Middle < 100*ms:
		return spread(s, ms, 1, " ms")
	}
	return spread(s, ms, 0, " ms")
}

// spread writes 131 µs (120–140). A figure that has only one value stands alone.
func spread(s measure.Spread, unit float64, decimals int, name string) string {
	middle := fmt.Sprintf("%.*f%s", decimals, s.Middle/unit, name)
	if s.Least == s.Most {
		return middle
	}
	return fmt.Sprintf("%s (%.*f–%.*f)", middle, decimals, s.Least/unit, decimals, s.Most/unit)
}
