package cli

import (
	"strings"

	"github.com/troupe-dev/troupe/services/troupe/internal/terminal"
)

// maxDiff bounds the table of a comparison; texts that differ in more are shown whole, the old before the new.
const maxDiff = 4 << 20

// diff shows two texts line by line: what is gone with -, what is new with +, what stays as it is.
func (o operator) diff(before, after string) string {
	a, b := strings.Split(strings.TrimSpace(before), "\n"), strings.Split(strings.TrimSpace(after), "\n")
	var out strings.Builder
	put := func(mark string, c terminal.Colour, lines ...string) {
		for _, l := range lines {
			out.WriteString(o.style.Paint(c, mark+" "+terminal.Clean(l)) + "\n")
		}
	}
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	put(" ", terminal.Plain, a[:head]...)
	x, y := a[head:len(a)-tail], b[head:len(b)-tail]
	same := common(x, y)
	i, j := 0, 0
	for i < len(x) || j < len(y) {
		switch {
		case i < len(x) && j < len(y) && x[i] == y[j]:
			put(" ", terminal.Plain, x[i])
			i, j = i+1, j+1
		case j == len(y) || i < len(x) && same(i+1, j) >= same(i, j+1):
			put("-", terminal.Red, x[i])
			i++
		default:
			put("+", terminal.Green, y[j])
			j++
		}
	}
	put(" ", terminal.Plain, a[len(a)-tail:]...)
	return out.String()
}

// common returns how many lines x from i on and y from j on have in common, in order.
func common(x, y []string) func(i, j int) int {
	if len(x)*len(y) > maxDiff {
		return func(int, int) int { return 0 }
	}
	width := len(y) + 1
	table := make([]int, (len(x)+1)*width)
	for i := len(x) - 1; i >= 0; i-- {
		for j := len(y) - 1; j >= 0; j-- {
			if x[i] == y[j] {
				table[i*width+j] = table[(i+1)*width+j+1] + 1
			} else {
				table[i*width+j] = max(table[(i+1)*width+j], table[i*width+j+1])
			}
		}
	}
	return func(i, j int) int { return table[i*width+j] }
}
