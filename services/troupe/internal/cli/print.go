package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/troupe-dev/troupe/services/troupe/internal/terminal"
	"go.yaml.in/yaml/v4"
)

// printer is where a command says what it has found: as JSON, or for people.
type printer struct {
	out, errs io.Writer
	json      bool
}

// document prints what a service said: as a line of JSON, or as YAML for people.
func (p printer) document(v any) error {
	text, err := json.Marshal(v)
	if err == nil && !p.json {
		text, err = asYAML(text)
	}
	if err == nil {
		_, err = fmt.Fprintln(p.out, strings.TrimSuffix(string(text), "\n"))
	}
	return err
}

// asYAML writes JSON in blocks, in characters that a terminal shows and YAML knows, whether they were escaped or not.
func asYAML(text []byte) ([]byte, error) {
	var doc yaml.Node
	if err := yaml.Load(bytes.Map(terminal.Shown, text), &doc); err != nil {
		return nil, err
	}
	inBlocks(&doc)
	return yaml.Dump(&doc, yaml.WithLineWidth(-1))
}

func inBlocks(n *yaml.Node) {
	n.Style, n.Value = 0, strings.Map(terminal.Shown, n.Value)
	for _, of := range n.Content {
		inBlocks(of)
	}
}

// maxCell bounds the text in a column of a table.
const maxCell = 110

// table prints the items of a document under a head, a row each, or with --json the document as it is. next is the token
// of its next page.
func table[T any](p printer, document any, next, head string, items []T, row func(T) []any) error {
	if p.json {
		return p.document(document)
	}
	if len(items) == 0 && next == "" {
		_, err := fmt.Fprintln(p.out, "nothing found")
		return err
	}
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, head) // Flush returns the first error
	for _, item := range items {
		var cells []string
		for _, cell := range row(item) {
			cells = append(cells, terminal.Cut(fmt.Sprint(cell), maxCell))
		}
		_, _ = fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	err := w.Flush()
	if err == nil && next != "" {
		_, err = fmt.Fprintf(p.out, "more: the same command with --page-token %s\n", terminal.Clean(next))
	}
	return err
}

// when is a time in a table; the zero time is none.
func when(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.Local().Format(time.DateTime)
}

// short is an event type without its package.
func short(eventType string) string { return eventType[strings.LastIndexByte(eventType, '.')+1:] }
