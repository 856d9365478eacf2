package cli

import (
	"context"
	"fmt"
	"os/user"
	"strings"

	"github.com/spf13/cobra"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/services/troupe/internal/terminal"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

func deadLettersCommand() *cobra.Command {
	return group(&cobra.Command{
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
	}, lettersListCommand(), lettersShowCommand(), redriveCommand(), editCommand(), discardCommand(), lettersLogCommand())
}

// consoleAPI are the flags of every command that talks to the console.
type consoleAPI struct {
	asking
	url string
}

func (d *consoleAPI) flags(cmd *cobra.Command) {
	urlFlag(cmd, &d.url, "console", "http://127.0.0.1:8080", "the console")
	d.asking.flags(cmd)
}

// operator is one command's conversation with the console, and where it is told.
type operator struct {
	*rest.Console
	*printer
}

// with calls f as asking does. What is not there has an exit code of its own.
func (d *consoleAPI) with(cmd *cobra.Command, unbounded bool, f func(context.Context, operator) error) error {
	return d.asking.with(cmd, unbounded, func(ctx context.Context, p *printer) error {
		err := f(ctx, operator{rest.NewConsole(d.url).As(tokens(admin, d.url)), p})
		if fault.ClassOf(err) == fault.NotFound {
			return codedError{err, exitNotThere}
		}
		return err
	})
}

// run is the RunE of a command that takes no longer than its timeout.
func (d *consoleAPI) run(f func(ctx context.Context, o operator, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		return d.with(cmd, false, func(ctx context.Context, o operator) error { return f(ctx, o, args) })
	}
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
	page, err := o.Letters(ctx, rest.LetterFilter{OrderID: arg}, rest.Paging{})
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
var oneChain = exactlyOne("PARTICIPANT/ORDER, or one ORDER")

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
