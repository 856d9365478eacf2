package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/troupe-dev/troupe/loadtest/bench/peers"
	"github.com/troupe-dev/troupe/loadtest/overlay"
	"go.yaml.in/yaml/v4"
)

// part is something that Troupe does and that has a price.
type part struct {
	Name  string
	Edits []overlay.Edit
}

//go:embed price.yaml
var list []byte

func parts() (all []part, err error) {
	return all, yaml.Load(list, &all, yaml.WithKnownFields())
}

// price builds the benchmark once for each part, and compares Troupe, Troupe without telemetry, and these.
func price(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "price")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	if _, err := os.Stat("go.work"); err != nil {
		return errors.New("-price: must be run in the root of the repository")
	}
	all, err := parts()
	if err != nil {
		return err
	}
	o.system = "troupe,troupe-without-telemetry"
	for _, p := range all {
		fmt.Fprintln(os.Stderr, "building "+p.Name)
		worker, err := p.build(ctx, root, filepath.Join(dir, p.Name))
		if err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
		systems[p.Name] = system{run: peers.Troupe, troupe: true, worker: worker}
		o.system += "," + p.Name
	}
	return compare(ctx, o)
}

// build makes the binary of a worker from the sources in root, changed on the way into the compiler.
func (p part) build(ctx context.Context, root, dir string) (worker string, err error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	changed, err := overlay.Write(root, dir, p.Edits)
	if err != nil {
		return "", err
	}
	worker = filepath.Join(dir, "worker")
	bench := filepath.Join(root, "loadtest", "bench")
	build := exec.CommandContext(ctx, "go", "build", "-C", bench, "-overlay", changed, "-o", worker, ".")
	build.Env = append(os.Environ(), "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return worker, nil
}
