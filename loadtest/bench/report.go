package main

import (
	"fmt"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/troupe-dev/troupe/loadtest/measure"
)

// report prints a row for each system: medians of its runs, and of the rate the slowest and the fastest run too.
func report(o options, runs []Run) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "system\torders/s\tmin\tmax\tCPU/order\tbroker\tredis\tsettled p50\tp99\tRSS MB\ttwice\t")
	for _, name := range o.systems() {
		of := slices.DeleteFunc(slices.Clone(runs), func(r Run) bool { return r.System != name })
		if len(of) == 0 {
			continue
		}
		each := func(used func(Run) time.Duration) time.Duration {
			spread := measure.SpreadOf(of, func(r Run) float64 { return float64(used(r)) / float64(r.Orders) })
			return time.Duration(spread.Middle).Round(time.Microsecond)
		}
		rate := measure.SpreadOf(of, func(r Run) float64 { return float64(r.Orders) / r.Took.Seconds() })
		rss := measure.SpreadOf(of, func(r Run) float64 { return float64(r.RSS) })
		p50, p99, twice := "-", "-", 0
		if o.rate > 0 { // when all orders waited from the beginning, it is the length of the run
			slices.SortFunc(of, func(a, b Run) int { return int(a.Settled.P99 - b.Settled.P99) })
			middle := of[len(of)/2].Settled
			p50, p99 = rounded(time.Duration(middle.P50)*time.Microsecond), rounded(time.Duration(middle.P99)*time.Microsecond)
		}
		for _, r := range of {
			twice += r.Duplicates
		}
		fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%.0f\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t\n", name, rate.Middle, rate.Least, rate.Most,
			each(func(r Run) time.Duration { return r.CPU }), each(func(r Run) time.Duration { return r.BrokerCPU }),
			each(func(r Run) time.Duration { return r.RedisCPU }), p50, p99, int64(rss.Middle)>>20, twice)
	}
	return w.Flush()
}

func rounded(d time.Duration) string { return d.Round(100 * time.Microsecond).String() }
