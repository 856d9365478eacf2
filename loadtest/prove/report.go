package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/loadtest/prove/junit"
	"github.com/troupe-dev/troupe/loadtest/prove/schedule"
	"github.com/troupe-dev/troupe/schemas/check"
	"github.com/troupe-dev/troupe/services/troupe/inspect"
	"github.com/troupe-dev/troupe/services/troupe/load"
)

// report is what report.json says.
type report struct {
	Seed    string `json:"seed"`
	Command string `json:"command"`
	Kept    bool   `json:"kept"`
	// Verdicts counts the violations of each guarantee.
	Verdicts map[check.Guarantee]int `json:"verdicts"`
	// Happened counts what was to happen, by what it was: 0 makes the run not proven.
	Happened map[string]int `json:"happened"`
	Found    *check.Report  `json:"found"`
	// Anew is what was found in the log that took the place of the first; its violations are among those of Found, too.
	Anew   *check.Report `json:"topics_anew,omitempty"`
	Poison *poisoned     `json:"poison,omitempty"`
	Faults []done        `json:"faults"`
	Took   time.Duration `json:"took_ns"`
	Dir    string        `json:"-"`
}

// poisoned compares the orders before one was poisoned with those after.
type poisoned struct {
	Before check.Settle `json:"settled_before"`
	After  check.Settle `json:"settled_after"`
}

// done is a deed in the report.
type done struct {
	Key    string        `json:"fault"`
	What   string        `json:"what"`
	Began  time.Duration `json:"began_ns"`
	Took   time.Duration `json:"took_ns"`
	Seen   string        `json:"seen,omitempty"`
	Failed string        `json:"failed,omitempty"`
}

// prove counts what happened. What was in the schedule and did not is a violation.
func (r *report) prove(faults []schedule.Fault, deeds []deed) {
	r.Happened = map[string]int{}
	why := map[string]string{}
	for _, f := range faults {
		r.Happened[f.Key()] = 0
	}
	for _, d := range deeds {
		shown := done{Key: d.Key(), What: d.String(), Began: d.Began, Took: d.Took, Seen: d.Seen}
		if d.Err == nil {
			r.Happened[d.Key()]++
		} else {
			shown.Seen, shown.Failed = "", d.Err.Error()
			why[d.Key()] = shown.Failed
		}
		r.Faults = append(r.Faults, shown)
	}
	for _, key := range slices.Sorted(maps.Keys(r.Happened)) {
		if r.Happened[key] == 0 {
			r.Found.Violation(check.NotProven, "", "%s did not happen: %s", key, why[key])
		}
	}
}

// poisoned compares the half of the orders before the poison with the half after it.
func (r *report) poisoned(results []load.Result) {
	r.Poison = &poisoned{r.Found.SettleOf(results[beforePoison].Expected), r.Found.SettleOf(results[afterPoison].Expected)}
}

// maxStories bounds the stories that are told.
const maxStories = 50

// tell writes the stories of the orders that something is wrong with to a file.
func (r *report) tell(ctx context.Context, s inspect.System, found *check.Report, file string) error {
	told := map[string]bool{}
	var b strings.Builder
	for _, v := range found.Violations {
		if v.Order == "" || told[v.Order] || len(told) == maxStories {
			continue
		}
		told[v.Order] = true
		if err := s.Tell(ctx, &b, found, v.Order); err != nil {
			return err
		}
	}
	if len(told) == 0 {
		return nil
	}
	return os.WriteFile(filepath.Join(r.Dir, file), []byte(b.String()), 0o644)
}

// end writes the report, says what it says, and returns whether all promises were kept.
func (r *report) end(out io.Writer) (bool, error) {
	r.Verdicts = map[check.Guarantee]int{}
	for _, g := range check.Guarantees {
		r.Verdicts[g] = len(r.Found.Of(g))
	}
	r.Kept = len(r.Found.Violations) == 0
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s", r.Found)
	if p := r.Poison; p != nil {
		fmt.Fprintf(&b, "before the poison half of the orders settled after %s, 99 of 100 after %s; behind it after %s and %s\n",
			ms(p.Before.P50), ms(p.Before.P99), ms(p.After.P50), ms(p.After.P99))
	}
	if r.Anew != nil {
		fmt.Fprintf(&b, "topics made anew: %d orders in the new log settled after %s (half of them), %s (all)\n",
			r.Anew.Orders, ms(r.Anew.Settle.P50), ms(r.Anew.Settle.Max))
	}
	fmt.Fprintf(&b, "faults: %d kinds, %d times\n", len(r.Happened), len(r.Faults))
	for _, g := range check.Guarantees {
		fmt.Fprintf(&b, "  %-18s %d\n", g, r.Verdicts[g])
	}
	verdict := "Every promise was kept."
	if !r.Kept {
		verdict = "Not every promise was kept, or not everything happened."
	}
	fmt.Fprintf(&b, "%s Took %s. The same again: %s\n", verdict, r.Took.Round(time.Second), r.Command)
	if !r.Kept {
		fmt.Fprintf(&b, "report.json, junit.xml, the logs and the stories of what went wrong are in %s\n", r.Dir)
	}
	_, _ = io.WriteString(out, b.String()) // nobody looks; the files still count
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return false, err
	}
	if err := os.WriteFile(filepath.Join(r.Dir, "report.json"), append(raw, '\n'), 0o644); err != nil {
		return false, err
	}
	return r.Kept, r.junit()
}

func ms(d time.Duration) string { return d.Round(time.Millisecond).String() }

// junit writes one test case for each guarantee.
func (r *report) junit() error {
	s := junit.Suite{Name: "prove seed " + r.Seed, Time: r.Took.Seconds()}
	for _, g := range check.Guarantees {
		c := junit.Case{Class: "prove", Name: string(g)}
		if of := r.Found.Of(g); len(of) > 0 {
			var texts []string
			for _, v := range of {
				texts = append(texts, v.String())
			}
			c.Failure = &junit.Failure{Message: fmt.Sprintf("%d violations; %s", len(of), r.Command), Text: strings.Join(texts, "\n")}
		}
		s.Cases = append(s.Cases, c)
	}
	return s.Write(filepath.Join(r.Dir, "junit.xml"))
}

// sealed is whether nothing that the run wrote into a folder holds a password or a key.
func (p *run) sealed(dir string, out io.Writer) bool {
	leaks, err := p.Leaks(dir)
	if err != nil {
		leaks = append(leaks, err.Error())
	}
	for _, leak := range leaks {
		fmt.Fprintln(out, "a secret is written down:", leak)
	}
	return len(leaks) == 0
}
