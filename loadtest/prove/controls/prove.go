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

	"github.com/troupe-dev/troupe/loadtest/overlay"
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
	chosen := o.chosen(func(c Control) bool { return c.Scene != "" })
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
		for _, c := range b.plays {
			t.play(ctx, c, b, dir)
			if ctx.Err() != nil {
				return false, ctx.Err()
			}
			b.took = 0 // for the first of them
		}
		if err := os.Remove(b.program); err != nil {
			return false, err
		}
	}
	return t.end(o.report)
}

// unchanged are the scenes of the chosen controls on the product as it is: they alone break nothing.
func unchanged(chosen []Control) (all []Control) {
	for _, c := range chosen {
		same := func(other Control) bool { return other.Scene == c.Scene }
		if !slices.ContainsFunc(all, same) {
			all = append(all, Control{ID: "unchanged", Scene: c.Scene})
		}
	}
	return all
}

// built is a program, and what is played on it.
type built struct {
	plays   []Control // of the same edits
	program string
	took    time.Duration
	err     error
}

// buildAll builds one ahead of what is played: first the product as it is. end stops it and waits.
func (o options) buildAll(ctx context.Context, dir string, chosen []Control) (_ <-chan built, end func()) {
	ctx, cancel := context.WithCancel(ctx)
	ready, done := make(chan built), make(chan struct{})
	programs := [][]Control{unchanged(chosen)}
	for _, c := range chosen {
		programs = append(programs, []Control{c})
	}
	go func() {
		defer close(done)
		defer close(ready)
		for _, plays := range programs {
			select {
			case ready <- o.build(ctx, dir, plays):
			case <-ctx.Done():
				return
			}
		}
	}()
	return ready, func() { cancel(); <-done }
}

func (o options) build(ctx context.Context, dir string, plays []Control) built {
	began := time.Now()
	c := plays[0]
	b := built{plays: plays, program: filepath.Join(dir, "troupe-"+c.ID)}
	files := filepath.Join(dir, c.ID)
	if b.err = os.Mkdir(files, 0o755); b.err != nil {
		return b
	}
	changed, err := overlay.Write(o.root, files, c.Edits)
	if err != nil {
		b.err = fmt.Errorf("control %s: %w", c.ID, err)
		return b
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags=-s", "-o", b.program, "-overlay", changed,
		"./services/troupe/cmd/troupe")
	cmd.Dir, cmd.Env = o.root, append(os.Environ(), "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		b.err = fmt.Errorf("build control %s: %w\n%s", c.ID, err, said)
	}
	b.took = time.Since(began)
	return b
}

// play plays the scene of a control, which must break one of the promises that it states: none, where it states none.
func (t *table) play(ctx context.Context, c Control, b built, dir string) {
	began := time.Now()
	found, err := playScene(ctx, c, b.program, dir)
	r := row{ID: c.ID, Without: c.Without, Scene: c.Scene, Expected: c.Red, Built: b.took, Took: time.Since(began)}
	if err != nil {
		r.Why = err.Error()
		t.add(r)
		return
	}
	for _, v := range found.Violations {
		if !slices.Contains(r.Broken, v.Guarantee) {
			r.Broken = append(r.Broken, v.Guarantee)
		}
	}
	stated := func(v check.Violation) bool { return slices.Contains(c.Red, v.Guarantee) }
	i := slices.IndexFunc(found.Violations, stated)
	switch {
	case i >= 0:
		r.Passed, r.Why = true, found.Violations[i].String()
	case len(found.Violations) > 0:
		r.Why = "red, but not for a stated reason: " + found.Violations[0].String()
	case len(c.Red) > 0:
		r.Why = "not found"
	default:
		r.Passed = true
	}
	t.add(r)
}

// playScene plays a scene, and once more when it did not come to what it is about.
func playScene(ctx context.Context, c Control, program, dir string) (found *check.Report, err error) {
	for range tries {
		var stage string
		if stage, err = os.MkdirTemp(dir, "stage-"); err != nil {
			return nil, err
		}
		found, err = perform(ctx, scenes[slices.IndexFunc(scenes, c.plays)], program, stage)
		if err == nil || ctx.Err() != nil {
			return found, err
		}
	}
	return nil, err
}
