package cli

import (
	"strings"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/troupe-dev/troupe/services/troupe/internal/terminal"
)

// diff shows two texts as diff -u does, without the head: what is gone with -, what is new with +, what stays round it.
func (p *printer) diff(before, after string) string {
	unified := string(diff.Diff("", []byte(strings.TrimSpace(before)+"\n"), "", []byte(strings.TrimSpace(after)+"\n")))
	var out strings.Builder
	for n, line := range strings.Split(strings.TrimSuffix(unified, "\n"), "\n") {
		if n < 3 || line == "" { // diff, ---, +++
			continue
		}
		colour := map[byte]terminal.Colour{'-': terminal.Red, '+': terminal.Green, '@': terminal.Dim}[line[0]]
		out.WriteString(p.style.Paint(colour, terminal.Clean(line)) + "\n")
	}
	return out.String()
}
