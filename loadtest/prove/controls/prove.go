package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/troupe-dev/troupe/schemas/check"
)

const (
	// restWithin is the wait after which a scene is stuck. The product comes to rest in moments; what was changed gets no less.
	restWithin = time.Minute
	// tries of a scene that was not played: nobody came by where somebody was waited for.
	tries = 2
)

// prove plays the scenes: on the product as it is, and on each control.
func (o options) prove(ctx context.Context, out io.Writer) (passed bool, err error) {
	chosen := o.chosen(func(c Control) bool { return len(c.Proof.Red) > 0 })
	if len(chosen) == 0 {
		return false, errors.New("no control is left: what was asked for cannot be proven this way, or is not there")
	}
	dir, err := os.MkdirTemp("", "troupe-controls-")
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	fmt.Fprintf(out, "seed %d: %d controls\n", o.seed, len(chosen))
	builds, end := o.buildAll(ctx, dir, chosen)
	defer end()
	t := &table{Seed: o.seed, out: out}
	for b := range builds {
		if b.err != nil {
			return false, b.err
		}
		if b.control.ID == "" {
			t.unchanged(ctx, chosen, b, dir)
		} else {
			t.control(ctx, b, dir)
		}
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		if err := os.Remove(b.program); err != nil {
			return false, err
		}
	}
	return t.end(o.report)
}

// built is a program to play on: the product, or without a guard.
type built struct {
	control Control
	program string
	took    time.Duration
	err     error
}

// buildAll builds one ahead of what is played: first the product as it is. end stops it and waits.
func (o options) buildAll(ctx context.Context, dir string, chosen []Control) (_ <-chan built, end func()) {
	ctx, cancel := context.WithCancel(ctx)
	ready, done := make(chan built), make(chan struct{})
	go func() {
		defer close(done)
		defer close(ready)
		for _, c := range append([]Control{{}}, chosen...) {
			select {
			case ready <- o.build(ctx, dir, c):
			case <-ctx.Done():
				return
			}
		}
	}()
	return ready, func() { cancel(); <-done }
}

func (o options) build(ctx context.Context, dir string, c Control) built {
	began := time.Now()
	b := built{control: c, program: filepath.Join(dir, "troupe-"+c.ID)}
	args := []string{"build", "-ldflags=-s", "-o", b.program}
	if c.ID != "" {
		changed := filepath.Join(dir, c.ID)
		if b.err = os.Mkdir(changed, 0o755); b.err != nil {
			return b
		}
		var overlay string
		if overlay, b.err = c.Overlay(o.root, changed); b.err != nil {
			return b
		}
		args = append(args, "-overlay", overlay)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "./services/troupe/cmd/troupe")...)
	cmd.Dir, cmd.Env = o.root, append(os.Environ(), "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		b.err = fmt.Errorf("build control %q: %w\n%s", c.ID, err, said)
	}
	b.took = time.Since(began)
	return b
}

// unchanged plays every scene of the chosen controls on the product as it is: the scenes alone break nothing.
func (t *table) unchanged(ctx context.Context, chosen []Control, b built, dir string) {
	var played []string
	for _, c := range chosen {
		sc := c.Proof.Scene
		if slices.Contains(played, sc.Name) {
			continue
		}
		played = append(played, sc.Name)
		began := time.Now()
		found, err := playScene(ctx, sc, b.program, dir, restWithin)
		r := row{ID: "unchanged", Scene: sc.Name, Took: time.Since(began)}
		switch {
		case err != nil:
			r.Why = err.Error()
		case len(found.Violations) > 0:
			r.Broken, r.Why = verdicts(found), "breaks promises without any help: "+found.Violations[0].String()
		default:
			r.Passed = true
		}
		t.add(r)
	}
}

// control plays the scene of a control, which must be red for the reason that it states.
func (t *table) control(ctx context.Context, b built, dir string) {
	began := time.Now()
	c := b.control
	found, err := playScene(ctx, c.Proof.Scene, b.program, dir, restWithin)
	r := row{ID: c.ID, Without: c.Without, Scene: c.Proof.Scene.Name, Expected: c.Proof.Red, Built: b.took, Took: time.Since(began)}
	if err != nil {
		r.Why = err.Error()
		t.add(r)
		return
	}
	r.Broken = verdicts(found)
	for _, v := range found.Violations {
		if slices.Contains(r.Expected, v.Guarantee) {
			r.Passed, r.Why = true, v.String()
			break
		}
	}
	if !r.Passed {
		r.Why = "not found"
		if len(found.Violations) > 0 {
			r.Why = "red, but not for the stated reason: " + found.Violations[0].String()
		}
	}
	t.add(r)
}

// playScene plays a scene, and once more when it did not come to what it is about.
func playScene(ctx context.Context, sc scene, program, dir string, rest time.Duration) (found *check.Report, err error) {
	for range tries {
		var stage string
		if stage, err = os.MkdirTemp(dir, "stage-"); err != nil {
			return nil, err
		}
		if found, err = perform(ctx, sc, program, stage, rest); err == nil || ctx.Err() != nil {
			return found, err
		}
	}
	return nil, err
}

// verdicts are the promises that were broken.
func verdicts(found *check.Report) []check.Guarantee {
	var broken []check.Guarantee
	for _, v := range found.Violations {
		if !slices.Contains(broken, v.Guarantee) {
			broken = append(broken, v.Guarantee)
		}
	}
	return broken
}
