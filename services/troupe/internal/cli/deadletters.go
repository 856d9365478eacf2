package cli

import (
	"context"
	"fmt"
	"io"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/services/troupe/internal/terminal"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

func deadLettersCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "dead-letters", Short: "See what is stuck and why, and bring it back: list, show, redrive, edit, discard, log",
		Long: `What a service cannot answer is parked with everything behind it of the same order; every other order flows. These
commands talk to the console. A chain is named PARTICIPANT/ORDER, such as payment/0f8f…; ORDER alone will do
while only one participant has parked something of it.

Exit codes: 0 done; 1 failed or refused; 2 wrong usage; 3 took too long (--timeout): what was asked for goes on; 4 it failed
again, and something is still parked; 5 nothing of that name is parked.`,
		Example: `  troupe dead-letters list                                  what is stuck
  troupe dead-letters show ORDER                            why, and what stands behind it
  troupe dead-letters redrive ORDER                         after a fix
  troupe dead-letters redrive --group payment/permanent/OrderPlaced --dry-run
  troupe dead-letters edit ORDER --reason 'wrong method'    in $EDITOR
  troupe dead-letters discard ORDER --reason 'a test'
  troupe dead-letters log                                   who did what, and why`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unknown command %q", "dead-letters "+args[0])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(lettersListCommand(), lettersShowCommand(), redriveCommand(), editCommand(), discardCommand(), lettersLogCommand())
	return cmd
}

// consoleAPI are the flags of every command that talks to the console.
type consoleAPI struct {
	url     string
	json    bool
	timeout time.Duration
}

func (d *consoleAPI) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&d.url, "console-url", variable("TROUPE_CONSOLE_URL", "http://127.0.0.1:8080"),
		"base URL of the console [TROUPE_CONSOLE_URL]")
	f.BoolVar(&d.json, "json", false, "print JSON as the service gives it")
	f.DurationVar(&d.timeout, "timeout", 30*time.Second, "give up after this time, with exit code 3")
}

// operator is one command's conversation with the console, and where it is told.
type operator struct {
	*rest.Console
	out, errs   io.Writer
	style       terminal.Style
	interactive bool // out is a terminal
	json        bool
}

// with calls f with a context that ends after the timeout, or with the command when unbounded.
func (d *consoleAPI) with(cmd *cobra.Command, unbounded bool, f func(ctx context.Context, o operator) error) error {
	if d.timeout <= 0 {
		return usageError{fault.Field("--timeout", "must be more than 0, is %s", d.timeout)}
	}
	ctx, cancel := cmd.Context(), context.CancelFunc(func() {})
	if !unbounded {
		ctx, cancel = context.WithTimeout(ctx, d.timeout)
	}
	defer cancel()
	o := operator{Console: rest.NewConsole(d.url).As(tokens(admin, d.url)), out: cmd.OutOrStdout(), errs: cmd.ErrOrStderr(), json: d.json}
	o.style = terminal.StyleOf(o.out)
	o.interactive = terminal.Is(o.out)
	err := f(ctx, o)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil && cmd.Context().Err() == nil: // whatever class the error has, the console was there
		return codedError{fmt.Errorf("not done after %s: %s", d.timeout, err.Error()), exitTimeout}
	case fault.ClassOf(err) == fault.NotFound:
		return codedError{err, exitNotThere}
	}
	return err
}

// chainName is PARTICIPANT/ORDER.
type chainName struct{ participant, order string }

func (c chainName) String() string { return terminal.Clean(c.participant + "/" + c.order) }

func nameOf(l rest.Letter) chainName { return chainName{l.Participant, l.OrderID} }

// chain makes the name of a chain from an argument, and asks who has parked something of the order when it does not say.
func (o operator) chain(ctx context.Context, arg string) (chainName, error) {
	if participant, order, ok := strings.Cut(arg, "/"); ok {
		if participant == "" || order == "" {
			return chainName{}, usageError{fmt.Errorf("%q is no PARTICIPANT/ORDER", arg)}
		}
		return chainName{participant, order}, nil
	}
	page, err := o.Letters(ctx, rest.LetterFilter{OrderID: arg}, true, rest.Paging{})
	if err != nil {
		return chainName{}, err
	}
	var found []string
	for _, l := range page.Letters {
		found = append(found, nameOf(l).String())
	}
	switch len(found) {
	case 0:
		return chainName{}, fault.New(fault.NotFound,
			"nothing of order %s is parked; what was done about it: troupe dead-letters log --order %s", arg, arg)
	case 1:
		return nameOf(page.Letters[0]), nil
	}
	return chainName{}, usageError{fmt.Errorf("several participants have parked something of this order; say which: %s",
		strings.Join(found, ", "))}
}

// oneChain takes exactly one argument, a chain's name.
func oneChain(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usageError{fmt.Errorf("needs one PARTICIPANT/ORDER, or one ORDER; got %d arguments", len(args))}
	}
	return nil
}

// who says who asks, for ever, where the console takes no tokens.
type who struct{ by, reason string }

func (w *who) flags(cmd *cobra.Command, reason string) {
	cmd.Flags().StringVar(&w.by, "by", variable("USER", systemUser()), "who asks, kept for ever in the log")
	cmd.Flags().StringVar(&w.reason, "reason", "", reason+"; kept for ever in the log")
}

func systemUser() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}

func (w *who) check(reasonNeeded bool) error {
	switch {
	case strings.TrimSpace(w.by) == "":
		return usageError{fault.Field("--by", "must say who asks")}
	case reasonNeeded && strings.TrimSpace(w.reason) == "":
		return usageError{fault.Field("--reason", "must say why: it is kept for ever")}
	}
	return nil
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
