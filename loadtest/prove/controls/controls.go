package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/troupe-dev/troupe/schemas/check"
)

// Control is the product without one of its guards. Whoever looks for broken promises must find it.
type Control struct {
	// ID names it: in -only, in reports, in the README.
	ID string
	// Without says what is missing.
	Without string
	// Breaks is the promise that the guard keeps.
	Breaks string
	Edits  []Edit
	// Schedules after which the simulation finds it, as measured; 0: it does not, because of Unseen.
	Schedules int
	Unseen    string
	// Proof says how `make prove` is made to see it; without one it cannot, because of Unproven.
	Proof    Proof
	Unproven string
}

// Edit replaces a piece of a file's text by another.
type Edit struct {
	// File is relative to the repository.
	File string
	// Old is in the file exactly once.
	Old, New string
}

// Proof is what is played to see it.
type Proof struct {
	Scene scene
	// Red are the verdicts of which one at least must be violated.
	Red []check.Guarantee
}

// Changed returns the files that the control changes, by their names in the repository at root, and what is in them then.
func (c Control) Changed(root string) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, e := range c.Edits {
		text, ok := files[e.File]
		if !ok {
			var err error
			if text, err = os.ReadFile(filepath.Join(root, e.File)); err != nil {
				return nil, err
			}
		}
		if n := bytes.Count(text, []byte(e.Old)); n != 1 {
			return nil, fmt.Errorf("control %s: %s holds %d times, not once:\n%s", c.ID, e.File, n, e.Old)
		}
		files[e.File] = bytes.Replace(text, []byte(e.Old), []byte(e.New), 1)
	}
	return files, nil
}

// Overlay writes the changed files into dir and returns the overlay for go build -overlay. root is absolute.
func (c Control) Overlay(root, dir string) (string, error) {
	files, err := c.Changed(root)
	if err != nil {
		return "", err
	}
	replace := map[string]string{}
	for file, text := range files {
		changed := filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(changed, text, 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(root, file)] = changed
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, overlay, 0o600)
}

// Controls lists all, in the order of the cycle.
func Controls() []Control {
	var all []Control
	for _, of := range [][]Control{positions, storeChecks, chains, publishing, parking, folding, doors, outside} {
		all = append(all, of...)
	}
	return all
}
