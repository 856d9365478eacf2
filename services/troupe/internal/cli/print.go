package cli

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/troupe-dev/troupe/services/troupe/internal/terminal"
)

// printer is where a command tells what it has found, and how. It keeps the first error of many lines.
type printer struct {
	out, errs   io.Writer
	style       terminal.Style
	interactive bool // out is a terminal
	json        bool
	err         error
}

func newPrinter(cmd *cobra.Command, asJSON bool) *printer {
	out := cmd.OutOrStdout()
	return &printer{out: out, errs: cmd.ErrOrStderr(), style: terminal.StyleOf(out), interactive: terminal.Is(out), json: asJSON}
}

func (p *printer) f(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.out, format, args...)
	}
}

// document prints JSON as a service gave it.
func (p *printer) document(raw json.RawMessage) { p.f("%s\n", bytes.TrimSpace(raw)) }

// value prints as JSON what no service has said.
func (p *printer) value(v any) {
	raw, err := json.Marshal(v)
	p.err = cmp.Or(p.err, err)
	p.document(raw)
}

// progress shows how far something is: in a terminal in the place of what it showed before, elsewhere on a line.
func (p *printer) progress(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if p.interactive {
		text = "\r\x1b[K" + text
	} else {
		text += "\n"
	}
	fmt.Fprint(p.errs, text)
}

// endProgress makes room for what follows.
func (p *printer) endProgress() {
	if p.interactive {
		fmt.Fprint(p.errs, "\r\x1b[K")
	}
}

// more says how to see the next page, if there is one.
func (p *printer) more(command, token, note string) {
	if token != "" {
		p.f("more: troupe %s --page-token %s%s\n", command, terminal.Clean(token), note)
	}
}

// short is an event type without its package.
func short(eventType string) string {
	if eventType == "" {
		return "(no type)"
	}
	return terminal.Clean(eventType[strings.LastIndexByte(eventType, '.')+1:])
}

// ago is a time in the past in the largest unit that is whole.
func ago(at time.Time) string {
	d := time.Since(at)
	for _, u := range []struct {
		of   time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "min"}} {
		if d >= u.of {
			return fmt.Sprintf("%d %s", d/u.of, u.name)
		}
	}
	return fmt.Sprintf("%d s", max(0, d/time.Second))
}

// count is a number with its noun.
func count[N int | int64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
