package main

import (
	"go/ast"
	"go/build"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/loadtest/overlay"
	"github.com/troupe-dev/troupe/schemas/check"
)

const root = "../../.."

func controls(t *testing.T) []Control {
	t.Helper()
	all, err := readList()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Every control takes away a guard that is still there, and what is left compiles: otherwise it would be red for no reason.
func TestControlsApplyAndCompile(t *testing.T) {
	var dirs []string
	for _, c := range controls(t) {
		for _, e := range c.Edits {
			if dir := "./" + filepath.Dir(e.File); !slices.Contains(dirs, dir) {
				dirs = append(dirs, dir)
			}
		}
	}
	look := exports(t, dirs)
	for _, c := range controls(t) {
		t.Run(c.ID, func(t *testing.T) {
			changed, err := overlay.Apply(root, c.Edits)
			if err != nil {
				t.Fatal(err)
			}
			checked := map[string]bool{}
			for file := range changed {
				if dir := filepath.Dir(file); !checked[dir] {
					checked[dir] = true
					compile(t, look, dir, changed)
				}
			}
		})
	}
}

// exports returns where the compiler's description of every package is that these need.
func exports(t *testing.T, dirs []string) importer.Lookup {
	list := exec.CommandContext(t.Context(), "go", append([]string{"list", "-export", "-deps", "-f", "{{.ImportPath}} {{.Export}}"}, dirs...)...)
	list.Dir, list.Stderr = root, os.Stderr
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for line := range strings.Lines(string(out)) {
		path, file, _ := strings.Cut(strings.TrimSpace(line), " ")
		files[path] = file
	}
	return func(path string) (io.ReadCloser, error) { return os.Open(files[path]) }
}

// compile checks the types of a folder's package with some of its files changed.
func compile(t *testing.T, look importer.Lookup, dir string, changed map[string][]byte) {
	names, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range names {
		if ok, err := build.Default.MatchFile(filepath.Split(name)); err != nil || !ok || strings.HasSuffix(name, "_test.go") {
			continue
		}
		var text any
		if to, ok := changed[filepath.Join(dir, filepath.Base(name))]; ok {
			text = to
		}
		file, err := parser.ParseFile(fset, name, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	conf := types.Config{Importer: importer.ForCompiler(fset, "gc", look), GoVersion: "go1.26"}
	if _, err := conf.Check(dir, fset, files, nil); err != nil {
		t.Error(err)
	}
}

// A control that nobody can find, or that is missing without a reason, shows nothing. A scene that no control has is played
// by nobody.
func TestControlsAreWhole(t *testing.T) {
	seen, played := map[string]bool{}, map[string]bool{}
	for _, c := range controls(t) {
		if c.ID == "" || c.Without == "" || c.Breaks == "" || len(c.Edits) == 0 || seen[c.ID] {
			t.Errorf("%q: without a name of its own, a promise or an edit", c.ID)
		}
		seen[c.ID] = true
		if (c.Schedules == 0) == (c.Unseen == "") {
			t.Errorf("%s: the simulation finds it after %d schedules, and does not: %q", c.ID, c.Schedules, c.Unseen)
		}
		if (len(c.Red) == 0) != (c.Scene == "") || c.Scene == "" && c.Schedules == 0 {
			t.Errorf("%s: the proof plays %q and sees %v, the simulation after %d schedules", c.ID, c.Scene, c.Red, c.Schedules)
		}
		played[c.Scene] = true
		for _, v := range c.Red {
			if !slices.Contains(check.Guarantees, v) || v == check.NotProven {
				t.Errorf("%s: %q is no promise", c.ID, v)
			}
		}
	}
	for _, s := range scenes {
		if !played[s.Name] {
			t.Errorf("no control is played by %q", s.Name)
		}
	}
}
