package schemas_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// atMost is how many files one order's happy path may lead through.
const atMost = 25

// walked is a link to a Go file, and the function that the page names behind it.
var walked = regexp.MustCompile("\\]\\(([^)\\s]+\\.go)\\)(?:, `(\\w+)`)?")

// The page is true: one order's happy path, which its numbered sections walk, leads through no more files than it says,
// each is there, and so is the function that each step names.
func TestHowItWorks(t *testing.T) {
	const page = "../docs/how-it-works.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, begins := strings.Cut(string(text), "\n## 1. ")
	path, _, ends := strings.Cut(rest, "\n## What happens when")
	if !begins || !ends {
		t.Fatal("the numbered sections are not found")
	}
	files := map[string]bool{}
	for _, step := range walked.FindAllStringSubmatch(path, -1) {
		file, function := filepath.Join(filepath.Dir(page), step[1]), step[2]
		files[file] = true
		if function == "" {
			t.Errorf("the step to %s names no function: write it behind the link, as in \", `Name`\"", step[1])
		} else if !declares(t, file, function) {
			t.Errorf("%s has no function %s", step[1], function)
		}
	}
	if len(files) < 20 || len(files) > atMost {
		t.Errorf("the path leads through %d files, which must be 20 to %d: %v", len(files), atMost, files)
	}
}

// declares says whether a file has a function or method of a name.
func declares(t *testing.T, file, name string) bool {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Error(err)
		return false
	}
	for _, d := range parsed.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Name.Name == name {
			return true
		}
	}
	return false
}
