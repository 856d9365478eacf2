// Command kubernetes checks the choreography and writes the files below k8s/ that follow from it. With -check it
// writes nothing, and names the files that are not as they would be written.
package main

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/troupe-dev/troupe/schemas/choreography"
	"github.com/troupe-dev/troupe/schemas/choreography/kubernetes"
)

func main() {
	dir := flag.String("write", "k8s", "the `folder` k8s of the repository")
	check := flag.Bool("check", false, "write nothing; fail when a file is not as it would be written")
	flag.Parse()
	if err := run(*dir, *check); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(dir string, check bool) error {
	c, err := choreography.Load()
	if err != nil {
		return err
	}
	if err := errors.Join(c.Check()...); err != nil {
		return err
	}
	alerts, err := os.ReadFile(filepath.Join(dir, "observability", "alerts.yml"))
	if err != nil {
		return err
	}
	files, err := kubernetes.Files(c, string(alerts))
	if err != nil {
		return err
	}
	var stale []error
	for _, path := range slices.Sorted(maps.Keys(files)) {
		name := filepath.Join(dir, path)
		old, err := os.ReadFile(name)
		switch {
		case err == nil && string(old) == files[path]:
			continue
		case check:
			stale = append(stale, fmt.Errorf("%s is not what the choreography says; make generate writes it", name))
			continue
		}
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, []byte(files[path]), 0o644); err != nil {
			return err
		}
	}
	return errors.Join(stale...)
}
