package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/services/troupe/internal/terminal"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

// maxPayload is the most that the console takes.
const maxPayload = 2 << 20

func editCommand() *cobra.Command {
	var d consoleAPI
	var w who
	var file string
	var force bool
	cmd := &cobra.Command{
		Use: "edit PARTICIPANT/ORDER | ORDER", Short: "Put the payload of the first event right, then redrive the chain", Args: oneChain,
		Long: `Replaces the payload of the first event of a chain, as JSON of the event's type, and redrives the chain. The log keeps both, and
who changed it and why. Without --payload it opens $VISUAL or $EDITOR (or vi) with the payload, shows what was changed, and asks.
--timeout begins when the payload is there.`,
		Example: `  troupe dead-letters edit ORDER --reason 'card method does not exist'
  troupe dead-letters show ORDER --json | jq '.letters[0].payload | .payment_method = "pm_card_visa"' |
    troupe dead-letters edit ORDER --payload - --reason 'card method does not exist'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := w.check(true); err != nil {
				return err
			}
			var given json.RawMessage
			var err error
			switch {
			case file != "":
				given, err = readPayload(cmd.InOrStdin(), file)
			case !terminal.Is(cmd.InOrStdin()) || !terminal.Is(cmd.OutOrStdout()):
				err = usageError{fault.Field("--payload", "is needed where there is no terminal for an editor")}
			}
			if err != nil {
				return err
			}
			var name chainName
			var head rest.ChainLetter
			err = d.with(cmd, false, func(ctx context.Context, o operator) (err error) {
				if name, err = o.chain(ctx, args[0]); err == nil {
					head, err = o.head(ctx, name)
				}
				return err
			})
			if err != nil {
				return err
			}
			kept := ""
			if file == "" {
				if given, kept, err = newPrinter(cmd, false).edited(cmd.InOrStdin(), head); err != nil {
					return err
				}
			}
			err = d.with(cmd, false, func(ctx context.Context, o operator) error {
				return o.act(ctx, name, "edit", rest.Act{By: w.by, Reason: w.reason, LetterID: head.LetterID, Payload: given, Force: force})
			})
			if kept != "" && err == nil {
				return os.Remove(kept)
			}
			if kept != "" {
				fmt.Fprintf(cmd.ErrOrStderr(), "the edited payload is in %s; --payload takes it\n", kept)
			}
			return err
		},
	}
	d.flags(cmd)
	w.flags(cmd, "why it was wrong")
	cmd.Flags().StringVar(&file, "payload", "", "file with the whole new payload as JSON; - is the standard input")
	cmd.Flags().BoolVar(&force, "force", false, "also when the head failed five redrives")
	return cmd
}

// readPayload reads a JSON object from a file or the standard input.
func readPayload(in io.Reader, file string) (json.RawMessage, error) {
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, usageError{fault.Field("--payload", "%w", err)}
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	raw, err := io.ReadAll(io.LimitReader(in, maxPayload+1))
	if err != nil {
		return nil, usageError{fault.Field("--payload", "%w", err)}
	}
	if err := object(raw); err != nil {
		return nil, usageError{fault.Field("--payload", "%w", err)}
	}
	return raw, nil
}

// object says what keeps raw from being one JSON object.
func object(raw []byte) error {
	var v map[string]json.RawMessage
	var syntax *json.SyntaxError
	switch err := json.Unmarshal(raw, &v); {
	case len(raw) > maxPayload:
		return errors.New("must not be larger than 2 MiB")
	case errors.As(err, &syntax):
		return fmt.Errorf("must be JSON; line %d: %w", 1+bytes.Count(raw[:min(int(syntax.Offset), len(raw))], []byte("\n")), err)
	case err != nil || v == nil:
		return errors.New("must be a JSON object")
	}
	return nil
}

// edited lets the operator change the payload of a letter in an editor, and returns it, and the file where it is kept, once they
// agree to what it changes. Otherwise it is an error, and the file is gone unless something was changed in it.
func (p *printer) edited(in io.Reader, head rest.ChainLetter) (payload json.RawMessage, kept string, err error) {
	before := []byte("{}\n")
	if head.PayloadError != "" {
		p.f("the payload cannot be decoded (%s); the editor begins empty\n", terminal.Cut(head.PayloadError, 200))
	} else {
		before = append([]byte(pretty(head.Payload, "")), '\n')
	}
	f, err := os.CreateTemp("", "troupe-*.json")
	if err != nil {
		return nil, "", err
	}
	kept = f.Name()
	if _, err = f.Write(before); err == nil {
		err = f.Close()
	}
	if err != nil {
		return nil, kept, err
	}
	return p.editUntilAgreed(bufio.NewReader(in), kept, before, runEditor)
}

// editUntilAgreed opens the editor until the operator says yes or no to what is in the file.
func (p *printer) editUntilAgreed(in *bufio.Reader, file string, before []byte, editor func(file string) error) (json.RawMessage, string, error) {
	for {
		if err := editor(file); err != nil {
			return nil, file, fmt.Errorf("editor (the payload is in %s): %w", file, err)
		}
		after, err := os.ReadFile(file)
		if err != nil {
			return nil, file, err
		}
		if bytes.Equal(bytes.TrimSpace(after), bytes.TrimSpace(before)) {
			return nil, "", errors.Join(errors.New("nothing was changed, and nothing done"), os.Remove(file))
		}
		question := "Put this in its place and redrive? [y]es, [e]dit again, [N]o "
		wrong := object(after)
		if wrong != nil {
			question = "This cannot be sent: it " + wrong.Error() + ". [e]dit again, [N]o "
		} else {
			p.f("%s", p.diff(string(before), string(after)))
		}
		answer, err := p.ask(in, question)
		switch {
		case err == nil && strings.HasPrefix(answer, "y") && wrong == nil:
			return after, file, nil
		case err == nil && strings.HasPrefix(answer, "e"):
		default:
			return nil, file, errors.Join(fmt.Errorf("nothing was done; the edited payload is in %s", file), err)
		}
	}
}

// runEditor runs the operator's editor, which may be a command line, on a file, in this terminal.
func runEditor(file string) error {
	editor := variable("VISUAL", variable("EDITOR", "vi"))
	c := exec.Command("sh", "-c", editor+` "$1"`, "sh", file)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	return c.Run()
}
