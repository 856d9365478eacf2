package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"

	"github.com/spf13/cobra"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/services/troupe/internal/terminal"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

func editCommand() *cobra.Command {
	var d consoleAPI
	var a rest.Act
	var file string
	cmd := &cobra.Command{
		Use: "edit ORDER", Short: "Put the payload of the first event right, then redrive the chain", Args: cobra.ExactArgs(1),
		Long: `Replaces the payload of the first event of a chain, as JSON of the event's type, and redrives the chain. The log keeps both, and
who changed it and why. Without --payload it opens $VISUAL or $EDITOR (or vi) with the payload; left unchanged, nothing is done. The
time in the editor does not count for --timeout.`,
		Example: `  troupe dead-letters edit ORDER --reason 'card method does not exist'
  troupe dead-letters show ORDER --json | jq '.letters[0].payload | .payment_method = "pm_card_visa"' |
    troupe dead-letters edit ORDER --payload - --reason 'card method does not exist'`,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			switch {
			case file != "":
				a.Payload, err = readPayload(cmd.InOrStdin(), file)
			case terminal.Is(cmd.InOrStdin()) && terminal.Is(cmd.OutOrStdout()):
				return d.editByHand(cmd, args, a)
			default:
				err = usageError{fault.Field("--payload", "is needed where there is no terminal for an editor")}
			}
			if err != nil {
				return err
			}
			return d.with(cmd, func(ctx context.Context, o operator) error {
				head, err := o.head(ctx, args)
				if err != nil {
					return err
				}
				a.LetterID = head.LetterID
				return o.act(ctx, head, "edit", a)
			})
		},
	}
	d.flags(cmd, readWithin)
	actFlags(cmd, &a, "why it was wrong")
	_ = cmd.MarkFlagRequired("reason")
	cmd.Flags().StringVar(&file, "payload", "", "file with the whole new payload as JSON; - is the standard input")
	cmd.Flags().BoolVar(&a.Force, "force", false, "also when the head failed five redrives")
	return cmd
}

// editByHand has the operator change the payload, in their own time, and keeps what cannot be used.
func (d *consoleAPI) editByHand(cmd *cobra.Command, args []string, a rest.Act) error {
	var head rest.Letter
	var payload json.RawMessage
	err := d.with(cmd, func(ctx context.Context, o operator) (err error) {
		if head, err = o.head(ctx, args); err != nil {
			return err
		}
		chain, err := o.Chain(ctx, head.Participant, head.OrderID, rest.Paging{Size: 1})
		if err == nil && len(chain.Letters) == 0 {
			err = fault.New(fault.NotFound, "nothing of %s waits any more", nameOf(head))
		}
		if err == nil { // what is edited may be another than what was listed a moment ago
			a.LetterID, payload = chain.Letters[0].LetterID, chain.Letters[0].Payload
		}
		return err
	})
	if err != nil {
		return err
	}
	file, err := inEditor(payload)
	if err != nil {
		return err
	}
	if a.Payload, err = readPayload(nil, file); err == nil {
		err = d.with(cmd, func(ctx context.Context, o operator) error { return o.act(ctx, head, "edit", a) })
	}
	if err != nil {
		_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "the edited payload is in %s; --payload takes it\n", file)
		return err
	}
	return os.Remove(file)
}

// readPayload reads JSON from a file, or for - from in.
func readPayload(in io.Reader, file string) (payload []byte, err error) {
	if file == "-" {
		payload, err = io.ReadAll(in)
	} else {
		payload, err = os.ReadFile(file)
	}
	if err == nil && !json.Valid(payload) {
		err = errors.New("must be JSON")
	}
	if err != nil {
		return nil, usageError{fault.Field("--payload", "%w", err)}
	}
	return payload, nil
}

// inEditor has the operator change a payload in their editor, which may be a command line, and returns the file that
// holds it then.
func inEditor(payload json.RawMessage) (file string, err error) {
	var before bytes.Buffer
	_ = json.Indent(&before, payload, "", "  ") // one that cannot be decoded is not there: the editor begins empty
	f, err := os.CreateTemp("", "troupe-*.json")
	if err != nil {
		return "", err
	}
	_, err = f.Write(before.Bytes())
	if err = errors.Join(err, f.Close()); err != nil {
		return "", err
	}
	c := exec.Command("sh", "-c", variable("VISUAL", variable("EDITOR", "vi"))+` "$1"`, "sh", f.Name())
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := c.Run(); err != nil {
		return "", fmt.Errorf("editor (the payload is in %s): %w", f.Name(), err)
	}
	after, err := os.ReadFile(f.Name())
	if err == nil && bytes.Equal(bytes.TrimSpace(after), before.Bytes()) {
		err = errors.Join(errors.New("nothing was changed, and nothing done"), os.Remove(f.Name()))
	}
	return f.Name(), err
}
