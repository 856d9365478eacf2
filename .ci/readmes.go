//go:build ignore

// Holds README.ko.md against README.md, section by section: the same code (comments apart, which are translated), links, commands in the
// text and figures, and tables of the same shape. What is said in words is for people to hold.
package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
)

// facts are what a section says in any language, by kind.
type facts map[string][]string

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)|https?://[\w.:/-]+`)
	command = regexp.MustCompile("`((?:make|go|docker|kubectl|curl|bin/|[A-Z_]+=)[^`]*)`")
	code    = regexp.MustCompile("`[^`]*`")
	figure  = regexp.MustCompile(`\d+(?:[.,:]\d+)*`)
	comment = regexp.MustCompile(`\s+# .*$`)
	cell    = regexp.MustCompile(`(?:[^\\])\|`)
	// A README leads to the other one, and nowhere else may they differ.
	other = regexp.MustCompile(`^README(\.ko)?\.md$`)
)

func main() {
	english, korean := read("README.md"), read("README.ko.md")
	wrong := 0
	complain := func(format string, args ...any) {
		wrong++
		fmt.Fprintf(os.Stderr, format+"\n", args...)
	}
	if len(english) != len(korean) {
		complain("README.md has %d sections, README.ko.md %d", len(english), len(korean))
	}
	compared := 0
	for i := range min(len(english), len(korean)) {
		for _, kind := range []string{"code", "link", "command", "figure", "row of a table, columns"} {
			compared += len(english[i][kind])
			for _, x := range without(english[i][kind], korean[i][kind]) {
				complain("README.ko.md, section %d (%s): lacks the %s %s", i, korean[i]["title"][0], kind, x)
			}
			for _, x := range without(korean[i][kind], english[i][kind]) {
				complain("README.ko.md, section %d (%s): the %s %s is not in README.md", i, korean[i]["title"][0], kind, x)
			}
		}
		if slices.Compare(english[i]["code"], korean[i]["code"]) != 0 {
			complain("README.ko.md, section %d (%s): its code is not in the order of README.md", i, korean[i]["title"][0])
		}
	}
	if compared == 0 {
		complain("nothing was found to compare")
	}
	if wrong > 0 {
		os.Exit(1)
	}
}

// read returns the facts of each section of a README; the first is what stands before any heading.
func read(name string) []facts {
	text, err := os.ReadFile(name)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	now := facts{"title": {"the beginning"}}
	all := []facts{now}
	inside := false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "```"):
			inside = !inside
			now["code"] = append(now["code"], line)
		case inside:
			now["code"] = append(now["code"], comment.ReplaceAllString(line, ""))
			now["figure"] = append(now["figure"], figure.FindAllString(link.ReplaceAllString(comment.FindString(line), ""), -1)...)
		case strings.HasPrefix(line, "## "):
			now = facts{"title": {line[3:]}}
			all = append(all, now)
		default:
			now.prose(line)
		}
	}
	return all
}

func (f facts) prose(line string) {
	add := func(kind, x string) { f[kind] = append(f[kind], x) }
	if strings.HasPrefix(line, "|") {
		add("row of a table, columns", fmt.Sprint(len(cell.FindAllString(line, -1))))
	}
	for _, m := range link.FindAllStringSubmatch(line, -1) {
		target := m[1]
		if target == "" {
			target = strings.TrimRight(m[0], ".:")
		}
		if !other.MatchString(target) {
			add("link", target)
		}
	}
	for _, m := range command.FindAllStringSubmatch(line, -1) {
		add("command", m[1])
	}
	for _, x := range figure.FindAllString(code.ReplaceAllString(link.ReplaceAllString(line, "]"), ""), -1) {
		add("figure", x)
	}
}

// without returns what is more often in a than in b.
func without(a, b []string) (rest []string) {
	left := slices.Clone(b)
	for _, x := range a {
		if i := slices.Index(left, x); i >= 0 {
			left = slices.Delete(left, i, i+1)
		} else {
			rest = append(rest, x)
		}
	}
	return rest
}
