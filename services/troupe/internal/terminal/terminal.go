// Package terminal is about how things look to people: colours where there is a terminal, amounts, and text from elsewhere that
// must not steer the terminal.
package terminal

import (
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/troupe-dev/troupe/schemas/money"
	"golang.org/x/term"
)

// Colour is an ANSI sequence.
type Colour string

// Colours.
const (
	Plain   Colour = ""
	Bold    Colour = "\x1b[1m"
	Dim     Colour = "\x1b[2m"
	Red     Colour = "\x1b[31m"
	Green   Colour = "\x1b[32m"
	Yellow  Colour = "\x1b[33m"
	Blue    Colour = "\x1b[34m"
	Magenta Colour = "\x1b[35m"
	Cyan    Colour = "\x1b[36m"
	Bright  Colour = "\x1b[92m"
	reset          = "\x1b[0m"
)

// Of has one colour for each part of the troupe, the same everywhere.
var Of = map[string]Colour{
	"order": Cyan, "payment": Green, "notification": Magenta, "query": Blue, "broker": Yellow, "redis": Red, "gateway": Bright,
}

// Style paints when it is true.
type Style bool

// Is returns whether w (or a reader) is a terminal.
func Is(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// StyleOf returns whether to use colours on w: on a terminal, unless NO_COLOR is set.
func StyleOf(w io.Writer) Style {
	return Style(os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && Is(w))
}

// Paint returns text in a colour, or as it is.
func (s Style) Paint(c Colour, text string) string {
	if !s || c == Plain {
		return text
	}
	return string(c) + text + reset
}

// Shown returns a character of a text of several lines, and another for what a terminal would obey rather than show.
func Shown(r rune) rune {
	if strconv.IsPrint(r) || r == '\n' || r == '\t' {
		return r
	}
	return '�'
}

// Clean replaces what a terminal would obey rather than show, ends of lines too.
func Clean(s string) string {
	return strings.NewReplacer("\n", "�", "\t", "�").Replace(strings.Map(Shown, s))
}

// Cut makes text one line of at most so many characters. It cuts in the middle: the step that failed stands at the beginning of an
// error, and its cause at the end.
func Cut(text string, most int) string {
	runes := []rune(Clean(strings.Join(strings.Fields(text), " ")))
	if len(runes) <= most {
		return string(runes)
	}
	end := 2 * most / 3
	return string(runes[:most-1-end]) + "…" + string(runes[len(runes)-end:])
}

// Money is money.Format of a currency that came from elsewhere.
func Money(minor int64, code string) string { return Clean(money.Format(minor, code)) }
