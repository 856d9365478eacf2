package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/troupe-dev/troupe/loadtest/prove/junit"
	"github.com/troupe-dev/troupe/schemas/check"
)

// table is what became of each control.
type table struct {
	Seed uint64 `json:"seed"`
	Rows []row  `json:"rows"`

	out io.Writer
}

// row is one control, or one scene played on the product as it is.
type row struct {
	ID      string `json:"control"`
	Without string `json:"without,omitempty"`
	Scene   string `json:"scene"`
	// Expected are the promises of which one must be broken, Broken those that were.
	Expected []check.Guarantee `json:"expected,omitempty"`
	Broken   []check.Guarantee `json:"broken,omitempty"`
	Passed   bool              `json:"passed"`
	Why      string            `json:"why,omitempty"`
	Built    time.Duration     `json:"build_ns,omitempty"`
	Took     time.Duration     `json:"took_ns"`
}

func (t *table) add(r row) {
	t.Rows = append(t.Rows, r)
	said := "ok"
	if !r.Passed {
		said = "FAILED"
	}
	fmt.Fprintf(t.out, "%-6s %-28s %-38s %5.1fs  %s\n", said, r.ID, r.Scene, (r.Built + r.Took).Seconds(), r.Why)
}

// end writes the files and returns whether everything passed.
func (t *table) end(dir string) (bool, error) {
	failed := 0
	for _, r := range t.Rows {
		if !r.Passed {
			failed++
		}
	}
	fmt.Fprintf(t.out, "%d of %d passed\n", len(t.Rows)-failed, len(t.Rows))
	if dir == "" {
		return failed == 0, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return false, err
	}
	raw, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return false, err
	}
	if err := os.WriteFile(filepath.Join(dir, "controls.json"), append(raw, '\n'), 0o644); err != nil {
		return false, err
	}
	return failed == 0, t.junit().Write(filepath.Join(dir, "junit.xml"))
}

func (t *table) junit() junit.Suite {
	s := junit.Suite{Name: "controls of the proof"}
	for _, r := range t.Rows {
		took := (r.Built + r.Took).Seconds()
		c := junit.Case{Class: "controls", Name: r.ID + ": " + r.Scene, Time: took}
		if !r.Passed {
			c.Failure = &junit.Failure{Message: r.Why}
		}
		s.Time += took
		s.Cases = append(s.Cases, c)
	}
	return s
}
