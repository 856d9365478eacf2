package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the tables into the documents")

const tableBegin, tableEnd = "<!-- controls:begin -->\n", "<!-- controls:end -->"

// The documents say of every control what the list says. After a change: go test ./loadtest/prove/controls -run Tables -update
func TestTablesAreTheList(t *testing.T) {
	for file, table := range map[string]string{
		"docs/prove.md": proven(controls(t)), "pkg/participant/simulation/README.md": simulated(controls(t)),
	} {
		path := filepath.Join(root, file)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		before, rest, begins := strings.Cut(string(text), tableBegin)
		is, after, ends := strings.Cut(rest, tableEnd)
		switch {
		case !begins || !ends:
			t.Errorf("%s: no table between %q and %q", file, tableBegin, tableEnd)
		case is == table:
		case !*update:
			t.Errorf("%s: the table is not the list's: run this test with -update", file)
		default:
			if err := os.WriteFile(path, []byte(before+tableBegin+table+tableEnd+after), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Whoever reads a promise finds the control that proves it.
func TestPromisesNameTheirControls(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs/prove.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## What proves each promise\n")
	section, _, ends := strings.Cut(section, "\n## ")
	if !ends {
		t.Fatal("docs/prove.md: no section says what proves each promise")
	}
	for _, c := range controls(t) {
		if c.Scene != "" && !strings.Contains(section, "`"+c.ID+"`") {
			t.Errorf("docs/prove.md: no promise names the control %s", c.ID)
		}
	}
}

// proven is the table of what the proof finds.
func proven(controls []Control) string {
	b := &strings.Builder{}
	b.WriteString("| control | the product, but | breaks | played | must turn red |\n| --- | --- | --- | --- | --- |\n")
	for _, c := range controls {
		if c.Scene == "" {
			continue
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |", c.ID, c.Without, c.Breaks, c.Scene)
		for i, v := range c.Red {
			if i > 0 {
				b.WriteString(" or")
			}
			fmt.Fprintf(b, " `%s`", v)
		}
		b.WriteString(" |\n")
	}
	return b.String()
}

// simulated is the table of what the simulation finds, and does not.
func simulated(controls []Control) string {
	b := &strings.Builder{}
	b.WriteString("| control | the engine, but | breaks | found after |\n| --- | --- | --- | --- |\n")
	for _, c := range controls {
		after := fmt.Sprintf("%d schedules", c.Schedules)
		if c.Unseen != "" {
			after = c.Unseen
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", c.ID, c.Without, c.Breaks, after)
	}
	return b.String()
}
