package main

import (
	"strings"
	"testing"
	"time"
)

// Each column of a table has the middle of its own figures, and from the least to the most.
func TestReport(t *testing.T) {
	run := func(took, used time.Duration, p50, p99, memory int64) Run {
		return Run{
			System: "troupe", Orders: 1000, Took: took, CPU: used, BrokerCPU: 10 * used, RedisCPU: used / 2,
			RSS: memory << 20, Settled: &Quantiles{P50: p50, P99: p99}, Duplicates: 1,
		}
	}
	runs := []Run{
		run(time.Second, 140*time.Millisecond, 1200, 90_000, 60),
		run(2*time.Second, 120*time.Millisecond, 900, 130_000, 64),
	}
	for _, c := range []struct {
		rate int
		runs []Run
		want string
	}{
		{340, runs, "troupe 750 (500–1000) 130 µs (120–140) 1.30 ms (1.20–1.40) 65 µs (60–70) " +
			"1.05 ms (0.90–1.20) 110 ms (90–130) 62 (60–64) 2"},
		{0, runs[:1], "troupe 1000 140 µs 1.40 ms 70 µs - - 60 1"},
	} {
		var out strings.Builder
		if err := report(&out, options{rate: c.rate, system: "troupe"}, c.runs); err != nil {
			t.Fatal(err)
		}
		_, row, _ := strings.Cut(out.String(), "\n")
		if got := strings.Join(strings.Fields(row), " "); got != c.want {
			t.Errorf("at %d/s\n%s, not\n%s", c.rate, got, c.want)
		}
	}
}
