// Package overlay has the compiler read some files of the product with pieces of their text replaced. The product has no
// switch for any of it, and nothing is written to its source.
package overlay

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Edit replaces a piece of a file's text by another.
type Edit struct {
	// File is relative to the repository.
	File string
	// Old is in the file exactly once.
	Old, New string
}

// Apply returns the files that edits change, by their names in the repository at root, and what is in them then.
func Apply(root string, edits []Edit) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, e := range edits {
		text, ok := files[e.File]
		if !ok {
			var err error
			if text, err = os.ReadFile(filepath.Join(root, e.File)); err != nil {
				return nil, err
			}
		}
		if n := bytes.Count(text, []byte(e.Old)); n != 1 {
			return nil, fmt.Errorf("%s holds %d times, not once:\n%s", e.File, n, e.Old)
		}
		files[e.File] = bytes.Replace(text, []byte(e.Old), []byte(e.New), 1)
	}
	return files, nil
}

// Write writes the changed files into dir and returns the path of the overlay for go build -overlay. root is absolute.
func Write(root, dir string, edits []Edit) (string, error) {
	files, err := Apply(root, edits)
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
