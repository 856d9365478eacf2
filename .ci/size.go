//go:build ignore

// Counts the lines of hand-written Go, as "make size" prints them: of every module, and of each package of pkg, beside
// what they may have. Not counted are blank lines, tests, the packages that support tests (their names end in "test"),
// and generated files. It judges nothing: the table is for people.
package main

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
)

// count is lines of code, and lines that are nothing but comment.
type count struct{ code, comments int }

func (c *count) add(other count) {
	c.code += other.code
	c.comments += other.comments
}

// sums are the rows with a limit: the folders that belong to each, and how many lines of code they may have.
var sums = []struct {
	name    string
	folders []string
	limit   int
}{
	{"pkg", []string{"pkg"}, 9_300},
	{"order + payment + notification", []string{"services/order", "services/payment", "services/notification"}, 2_000},
	{"query", []string{"services/query"}, 2_500},
	{"console", []string{"services/console"}, 3_000},
	{"CLI + playground", []string{"services/troupe"}, 7_500},
	{"loadtest", []string{"loadtest"}, 6_000},
	{"everything", []string{"."}, 30_000},
}

// commentsAtLeast is the share of comments that pkg is to have, in percent of its lines of code and comment.
const commentsAtLeast = 14

func main() {
	modules := map[string]bool{}
	for _, file := range list("*go.mod") {
		modules[path.Dir(file)] = true
	}
	counts, whole := map[string]count{}, map[string]count{}
	for _, file := range list("*.go") {
		if strings.HasSuffix(file, "_test.go") || strings.Contains("/"+file, "/testdata/") {
			continue
		}
		c, ours := lines(file)
		module := moduleOf(path.Dir(file), modules)
		if !ours || module == "" {
			continue
		}
		name := module
		if module == "pkg" {
			name = path.Dir(file)
		}
		add(counts, name, c)
		for _, sum := range sums {
			if slices.ContainsFunc(sum.folders, func(f string) bool { return f == "." || strings.HasPrefix(file, f+"/") }) {
				add(whole, sum.name, c)
			}
		}
	}
	fmt.Printf("%-36s %7s %9s %7s\n", "lines without tests and generated", "code", "comments", "limit")
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		row(name, counts[name], "")
	}
	fmt.Println()
	for _, sum := range sums {
		note := fmt.Sprintf("%7d", sum.limit)
		if over := whole[sum.name].code - sum.limit; over > 0 {
			note += fmt.Sprintf("  %d over", over)
		}
		if sum.name == "pkg" {
			note += fmt.Sprintf("  comments: %d %% at least", commentsAtLeast)
		}
		row(sum.name, whole[sum.name], note)
	}
}

func row(name string, c count, note string) {
	fmt.Println(strings.TrimRight(fmt.Sprintf("%-36s %7d %7d %% %s", name, c.code, 100*c.comments/max(1, c.code+c.comments), note), " "))
}

func add(to map[string]count, name string, c count) {
	sum := to[name]
	sum.add(c)
	to[name] = sum
}

// list names the files of the working tree that git knows or would add.
func list(pattern string) (files []string) {
	out, err := exec.Command("git", "ls-files", "-co", "--exclude-standard", "--deduplicate", pattern).Output()
	if err != nil {
		fail(err)
	}
	for _, file := range strings.Fields(string(out)) {
		if _, err := os.Stat(file); err == nil {
			files = append(files, file)
		}
	}
	return files
}

// moduleOf is the folder of the module that a folder belongs to.
func moduleOf(dir string, modules map[string]bool) string {
	for ; dir != "."; dir = path.Dir(dir) {
		if modules[dir] {
			return dir
		}
	}
	return ""
}

// lines counts a file; it returns false for one that is generated, or that only tests use.
func lines(name string) (c count, ours bool) {
	text, err := os.ReadFile(name)
	if err != nil {
		fail(err)
	}
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, name, text, parser.PackageClauseOnly|parser.ParseComments)
	if err != nil {
		fail(err)
	}
	if ast.IsGenerated(parsed) || strings.HasSuffix(parsed.Name.Name, "test") {
		return count{}, false
	}
	var s scanner.Scanner
	file := files.AddFile(name, -1, len(text))
	s.Init(file, text, nil, scanner.ScanComments)
	code, comment := map[int]bool{}, map[int]bool{}
	for {
		at, tok, literal := s.Scan()
		if tok == token.EOF {
			break
		}
		if tok == token.SEMICOLON && literal == "\n" { // not written
			continue
		}
		first := file.Line(at)
		for i, line := range bytes.Split([]byte(cmp.Or(literal, tok.String())), []byte("\n")) {
			switch {
			case len(bytes.TrimSpace(line)) == 0:
			case tok == token.COMMENT:
				comment[first+i] = true
			default:
				code[first+i] = true
			}
		}
	}
	maps.DeleteFunc(comment, func(line int, _ bool) bool { return code[line] })
	return count{len(code), len(comment)}, true
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "size:", err)
	os.Exit(1)
}
