package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/troupe-dev/troupe/loadtest/overlay"
)

const simulation = "./pkg/participant/simulation"

// foundAfter is what the simulation says when a promise was broken; the same of one that never ends.
var foundAfter = regexp.MustCompile(`found after (\d+) schedules`)

// simulate plays schedules on the engine without a guard. It returns after how many of them a promise was broken, 0 when none
// was, and what broke.
func simulate(ctx context.Context, root string, c Control, schedules int) (after int, what string, err error) {
	dir, err := os.MkdirTemp("", "control-")
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	changed, err := overlay.Write(root, dir, c.Edits)
	if err != nil {
		return 0, "", fmt.Errorf("control %s: %w", c.ID, err)
	}
	program := filepath.Join(dir, "simulation.test")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-overlay", changed, "-o", program, simulation)
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return 0, "", fmt.Errorf("control %s: %w\n%s", c.ID, err, out)
	}
	run := exec.CommandContext(ctx, program, "-test.run=^TestAnySchedule$", "-test.v", "-test.timeout=10m",
		"-rapid.checks="+strconv.Itoa(schedules), "-rapid.shrinktime=0s")
	run.Dir = filepath.Join(root, simulation)
	out, err := run.CombinedOutput()
	if err == nil {
		return 0, "", nil
	}
	if ctx.Err() != nil {
		return 0, "", ctx.Err()
	}
	found := foundAfter.FindSubmatch(out)
	if found != nil {
		after, err = strconv.Atoi(string(found[1]))
		return after, broken(out), err
	}
	return 0, "", fmt.Errorf("control %s: %w\n%s", c.ID, err, out)
}

// broken is the first promise of a failed run.
func broken(out []byte) string {
	_, rest, ok := strings.Cut(string(out), "broken promises:\n")
	if !ok {
		return "it turns in circles"
	}
	first, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(first)
}

// simulateAll says of each control whether the simulation finds it, as rows of the table in its README. It fails when one is not found
// that was found before.
func (o options) simulateAll(ctx context.Context, out io.Writer) (passed bool, err error) {
	passed = true
	for _, c := range o.chosen(func(c Control) bool { return c.Outside == "" }) {
		after, what, err := simulate(ctx, o.root, c, o.simulate)
		if err != nil {
			return false, err
		}
		switch {
		case after > 0:
			fmt.Fprintf(out, "| `%s` | %s | %d | %s |\n", c.ID, c.Without, after, what)
		default:
			fmt.Fprintf(out, "| `%s` | %s | not within %d | %s |\n", c.ID, c.Without, o.simulate, c.Unseen)
			passed = passed && c.Schedules == 0
		}
	}
	return passed, nil
}
