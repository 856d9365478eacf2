//go:build ignore

// Holds the shape of the packages whose doc.go has a map of their files: a line that says in which order they are read,
// "// Files, each using only those above it:" or "… below it:", and then a list, "//   - client.go: what is in it".
//
//   - Every file is in the map.
//   - No arrow runs against the order: a file uses nothing that is declared in a file on its wrong side.
//   - No line has more than 120 characters, struct tags apart, which cannot be broken. No file has more than 300 lines, no
//     type more than 25 methods, but for those of packages that support tests: their names end in "test".
//
// The last of these holds for all of pkg. Tests are not looked at. Of the other packages without a map it says how many
// there are, and how many of them keep those bounds.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	mostColumns = 120
	mostLines   = 300
	mostMethods = 25
)

var (
	heading = regexp.MustCompile(`(?m)^Files, each using only those (above|below) it:$`)
	entry   = regexp.MustCompile(`(?m)^  - ([a-z0-9_]+\.go): .`)

	// held are the packages that keep the bounds without a map too.
	held = regexp.MustCompile(`^github\.com/troupe-dev/troupe/pkg/`)
)

// pkg is what go list knows of a package.
type pkg struct {
	Dir, ImportPath, Export string
	GoFiles                 []string
	ImportMap               map[string]string
}

// source is a package as it is written.
type source struct {
	pkg
	files  *token.FileSet
	parsed map[string]*ast.File // by name without its folder
	places map[string]int       // in the map, so that a file may use those of lower places; nil without a map
	wrong  []string
}

func main() {
	var mapped, bounded []source
	var names []pkg
	without, kept := 0, 0
	for _, p := range load() {
		s := source{pkg: p, files: token.NewFileSet(), parsed: map[string]*ast.File{}}
		s.measure()
		if s.order(); s.places != nil {
			mapped, names = append(mapped, s), append(names, p)
			continue
		}
		if without++; len(s.wrong) == 0 {
			kept++
		}
		if held.MatchString(p.ImportPath) {
			bounded = append(bounded, s)
		}
	}
	fmt.Printf("shape: %d packages have a map of their files; of %d without one, %d have lines, files and types within the bounds\n",
		len(mapped), without, kept)
	if len(mapped) == 0 {
		fail(errors.New("no package has a map: is its heading written otherwise?"))
	}
	exports := compiled(names)
	for i := range mapped {
		mapped[i].arrows(exports)
	}
	failed := false
	for _, s := range append(mapped, bounded...) {
		for _, w := range s.wrong {
			failed = true
			fmt.Fprintln(os.Stderr, w)
		}
	}
	if failed {
		os.Exit(1)
	}
}

// load lists the packages of the workspace.
func load() (packages []pkg) {
	modules, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}/...").Output()
	if err != nil {
		fail(err)
	}
	return list(append([]string{"-json=Dir,ImportPath,GoFiles,ImportMap"}, strings.Fields(string(modules))...)...)
}

// compiled is where the compiler has put what each package exports, of those with a map and what they import.
func compiled(mapped []pkg) map[string]string {
	args := []string{"-deps", "-export", "-json=ImportPath,Export"}
	for _, p := range mapped {
		args = append(args, p.ImportPath)
	}
	exports := map[string]string{}
	for _, p := range list(args...) {
		exports[p.ImportPath] = p.Export
	}
	return exports
}

func list(args ...string) (packages []pkg) {
	command := exec.Command("go", append([]string{"list"}, args...)...)
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		fail(err)
	}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			fail(err)
		}
		packages = append(packages, p)
	}
}

func (s *source) say(file, format string, args ...any) {
	path := filepath.Join(s.Dir, file)
	if here, err := os.Getwd(); err == nil {
		if relative, err := filepath.Rel(here, path); err == nil {
			path = relative
		}
	}
	s.wrong = append(s.wrong, path+": "+fmt.Sprintf(format, args...))
}

// measure reads the files, and says which lines, files and types are too large.
func (s *source) measure() {
	methods := map[string]int{}
	for _, name := range s.GoFiles {
		text, err := os.ReadFile(filepath.Join(s.Dir, name))
		if err != nil {
			fail(err)
		}
		file, err := parser.ParseFile(s.files, name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			fail(err)
		}
		s.parsed[name] = file
		if ast.IsGenerated(file) {
			continue
		}
		tagged := map[int]bool{}
		ast.Inspect(file, func(n ast.Node) bool {
			if field, ok := n.(*ast.Field); ok && field.Tag != nil {
				tagged[s.files.Position(field.Tag.Pos()).Line] = true
			}
			return true
		})
		lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
		if len(lines) > mostLines {
			s.say(name, "has %d lines, more than %d", len(lines), mostLines)
		}
		for i, line := range lines {
			if n := utf8.RuneCountInString(line); n > mostColumns && !tagged[i+1] {
				s.say(fmt.Sprintf("%s:%d", name, i+1), "has %d characters, more than %d", n, mostColumns)
			}
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv == nil {
				continue
			}
			receiver := f.Recv.List[0].Type
			if star, ok := receiver.(*ast.StarExpr); ok {
				receiver = star.X
			}
			if generic, ok := receiver.(*ast.IndexExpr); ok {
				receiver = generic.X
			}
			if named, ok := receiver.(*ast.Ident); ok {
				methods[named.Name]++
				if methods[named.Name] == mostMethods+1 && !strings.HasSuffix(s.ImportPath, "test") {
					s.say(name, "type %s has more than %d methods", named.Name, mostMethods)
				}
			}
		}
	}
}

// order reads the map of the package.
func (s *source) order() {
	doc, ok := s.parsed["doc.go"]
	if !ok {
		return
	}
	text := doc.Doc.Text()
	at := heading.FindStringSubmatchIndex(text)
	if at == nil {
		return
	}
	s.places = map[string]int{"doc.go": 0}
	for _, e := range entry.FindAllStringSubmatch(text[at[1]:], -1) {
		if !slices.Contains(s.GoFiles, e[1]) {
			s.say("doc.go", "there is no %s", e[1])
		}
		place := len(s.places)
		if text[at[2]:at[3]] == "below" {
			place = -place
		}
		s.places[e[1]] = place
	}
	for _, name := range s.GoFiles {
		if _, ok := s.places[name]; !ok && !ast.IsGenerated(s.parsed[name]) {
			s.say("doc.go", "the map has no %s", name)
		}
	}
}

// arrows says what a file uses of one on its wrong side.
func (s *source) arrows(exports map[string]string) {
	lookup := func(path string) (io.ReadCloser, error) {
		if actual, ok := s.ImportMap[path]; ok {
			path = actual
		}
		return os.Open(exports[path])
	}
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	var files []*ast.File
	for _, name := range s.GoFiles {
		files = append(files, s.parsed[name])
	}
	config := types.Config{Importer: importer.ForCompiler(s.files, "gc", lookup)}
	checked, err := config.Check(s.ImportPath, s.files, files, info)
	if err != nil {
		fail(err)
	}
	seen := map[string]bool{}
	for use, object := range info.Uses {
		if object.Pkg() != checked || !object.Pos().IsValid() {
			continue
		}
		from, to := s.files.Position(use.Pos()), s.files.Position(object.Pos())
		arrow := fmt.Sprintf("uses %s of %s", object.Name(), to.Filename)
		if s.places[to.Filename] > s.places[from.Filename] && !seen[from.Filename+arrow] {
			seen[from.Filename+arrow] = true
			s.say(fmt.Sprintf("%s:%d", from.Filename, from.Line), "%s, against the order of doc.go", arrow)
		}
	}
	slices.Sort(s.wrong)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "shape:", err)
	os.Exit(1)
}
