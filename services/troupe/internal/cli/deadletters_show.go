package cli

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"

	"github.com/spf13/cobra"
	"github.com/troupe-dev/troupe/services/troupe/internal/narrate"
	"github.com/troupe-dev/troupe/services/troupe/internal/terminal"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

// classBehind is that of a letter that did not fail itself.
const classBehind = "behind"

// maxBytesShown of a body that cannot be decoded.
const maxBytesShown = 512

func lettersShowCommand() *cobra.Command {
	var d consoleAPI
	var query string
	var p rest.Paging
	cmd := &cobra.Command{
		Use: "show PARTICIPANT/ORDER | ORDER", Short: "Why an order waits, what stands behind it, and what was done so far", Args: oneChain,
		Long: `Shows the chain of one order at one participant, first in, first out: each event with its error, headers, payload and place,
then who did what about it, and the order's story. Payloads are shown as they are, private ones too.`,
		RunE: d.run(func(ctx context.Context, o operator, args []string) error {
			name, err := o.chain(ctx, args[0])
			if err != nil {
				return err
			}
			chain, err := o.Chain(ctx, name.participant, name.order, p)
			if err != nil {
				return err
			}
			if o.json {
				o.document(chain.Raw)
				return nil
			}
			o.printChain(name, chain)
			o.printStory(ctx, rest.New("", query).As(tokens(admin, query)), name.order)
			o.printNext(name, chain)
			return nil
		}),
	}
	d.flags(cmd)
	pageFlags(cmd, &p)
	urlFlag(cmd, &query, "query", "http://127.0.0.1:8084", "the query service, for the order's story")
	return cmd
}

func (p *printer) printChain(name chainName, c rest.Chain) {
	p.f("%s  ", p.style.Paint(terminal.Bold, name.String()))
	if c.Waiting == 0 {
		p.f("%s\n", p.style.Paint(terminal.Green, "nothing waits any more"))
	} else {
		p.f("%s, in partition %d\n", p.style.Paint(terminal.Yellow, count(c.Waiting, "letter waits", "letters wait")), c.Partition)
	}
	for _, l := range c.Letters {
		p.printLetter(l)
	}
	if c.NextPageToken != "" {
		p.f("\nmore: troupe dead-letters show %s --page-token %s\n", name, terminal.Clean(c.NextPageToken))
	}
	if len(c.Outcomes) > 0 {
		p.f("\nWhat was done, the newest first\n")
	}
	for _, e := range c.Outcomes {
		p.f("  %s  %s\n", e.At.Local().Format("2006-01-02 15:04:05"), p.said(e))
	}
}

func (p *printer) printNext(name chainName, c rest.Chain) {
	if c.Waiting > 0 {
		p.f("\nAfter a fix:                         troupe dead-letters redrive %s\n", name)
		p.f("Put the first right, then redrive:   troupe dead-letters edit %s --reason WHY\n", name)
		p.f("Give the first up for good:          troupe dead-letters discard %s --reason WHY\n", name)
	}
}

func (p *printer) printLetter(l rest.ChainLetter) {
	state := p.style.Paint(terminal.Red, terminal.Clean(l.Class)) + ", waits " + ago(l.FirstFailure) + redrives(l.Redrives) + retry(l.RetryAt)
	if l.Class == classBehind {
		state = p.style.Paint(terminal.Dim, "behind those before, for "+ago(l.FirstFailure))
	}
	p.f("\n%d. %s  %s\n", l.Position, p.style.Paint(terminal.Bold, short(l.Type)), state)
	if l.Class != classBehind {
		p.f("   %s\n", terminal.Clean(l.Message))
	}
	p.f("   id       %s\n", terminal.Clean(l.LetterID))
	p.f("   event    %s partition %d offset %d, tried %s by %s\n", terminal.Clean(l.Topic), l.Partition, l.Offset,
		count(l.Deliveries, "time", "times"), terminal.Clean(l.Group))
	p.f("   letter   %s offset %d\n", terminal.Clean(l.LetterTopic), l.LetterOffset)
	for i, h := range l.Headers {
		title := "headers"
		if i > 0 {
			title = ""
		}
		p.f("   %-7s  %s\n", title, p.style.Paint(terminal.Dim, terminal.Clean(h.Name)+": "+header(h)))
	}
	if l.Exception != "" {
		p.f("   panic\n")
		for _, text := range bytes.Split([]byte(l.Exception), []byte("\n")) {
			p.f("     %s\n", terminal.Clean(string(bytes.ReplaceAll(text, []byte("\t"), []byte("  ")))))
		}
	}
	if l.PayloadError != "" || len(l.Payload) == 0 {
		p.f("   payload  %s\n", p.style.Paint(terminal.Red, "cannot be decoded: "+terminal.Clean(l.PayloadError)))
		p.f("            %s in base64: %s\n", count(len(l.Raw), "byte", "bytes"), base64.StdEncoding.EncodeToString(l.Raw[:min(len(l.Raw), maxBytesShown)]))
		return
	}
	p.f("   payload  %s\n", pretty(l.Payload, "            "))
}

func header(h rest.Header) string {
	if h.Base64 {
		return terminal.Clean(h.Value) + " (base64)"
	}
	return terminal.Clean(h.Value)
}

// pretty indents JSON, each line cleaned for the terminal.
func pretty(raw json.RawMessage, prefix string) string {
	var b bytes.Buffer
	if json.Indent(&b, raw, "", "  ") != nil {
		return terminal.Clean(string(raw))
	}
	var out []byte
	for i, text := range bytes.Split(b.Bytes(), []byte("\n")) {
		if i > 0 {
			out = append(out, "\n"+prefix...)
		}
		out = append(out, terminal.Clean(string(text))...)
	}
	return string(out)
}

// printStory is beside the point when the chain is known, so what fails there is said and nothing more.
func (p *printer) printStory(ctx context.Context, orders *rest.Client, order string) {
	story, err := orders.Story(ctx, order)
	if err != nil {
		p.f("\nThe order's story is not there: %s\n", terminal.Cut(err.Error(), 200))
		return
	}
	p.f("\nThe order so far\n")
	for _, e := range story.Events {
		p.f("%s", narrate.Line(p.style, e, story.Events[0].Time))
	}
}
