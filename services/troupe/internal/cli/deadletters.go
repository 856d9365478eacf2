package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

func deadLettersCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "dead-letters", Short: "See what is stuck and why, and bring it back: list, show, redrive, edit, discard, log",
		Long: `What a service cannot answer is parked with everything behind it of the same order; every other order flows. These
commands talk to the console. ORDER is PARTICIPANT/ORDER too, such as payment/0f8f…: where several participants have parked something
of one order, it says which of these chains is meant.

Exit codes: 0 done; 1 failed, or an edit or discard was refused; 2 wrong usage; 3 took too long (--timeout): what was asked for
goes on; 4 it failed again or a redrive was refused, and something is still parked; 5 nothing of that name is parked.`,
		Example: `  troupe dead-letters list                                  what is stuck; --groups counts it by cause
  troupe dead-letters show ORDER                            why, and what stands behind it
  troupe dead-letters redrive ORDER                         after a fix
  troupe dead-letters redrive --participant payment --class permanent --type OrderPlaced --dry-run
  troupe dead-letters edit ORDER --reason 'wrong method'    in $EDITOR
  troupe dead-letters discard ORDER --reason 'a test'
  troupe dead-letters log                                   who did what, and why`,
		Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(lettersListCommand(), lettersShowCommand(), redriveCommand(), editCommand(), discardCommand(), lettersLogCommand())
	return cmd
}

// consoleAPI are the flags of every command that talks to the console.
type consoleAPI struct {
	asking
	url string
}

func (d *consoleAPI) flags(cmd *cobra.Command, within time.Duration) {
	urlFlag(cmd, &d.url, "console", playground().Console, "the console")
	d.asking.flags(cmd, within)
}

// operator is one command's conversation with the console, and where it is told.
type operator struct {
	*rest.Console
	printer
}

func (d *consoleAPI) with(cmd *cobra.Command, f func(context.Context, operator) error) error {
	return d.asking.with(cmd, func(ctx context.Context, p printer) error {
		return f(ctx, operator{rest.NewConsole(d.url).As(tokens(admin, d.url)), p})
	})
}

// run is the RunE of a command.
func (d *consoleAPI) run(f func(ctx context.Context, o operator, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		return d.with(cmd, func(ctx context.Context, o operator) error { return f(ctx, o, args) })
	}
}

// filterFlags choose chains by their heads.
func filterFlags(cmd *cobra.Command, f *rest.LetterFilter) {
	cmd.Flags().StringVar(&f.Participant, "participant", "", "only what this service parked")
	cmd.Flags().StringVar(&f.Class, "class", "", "only what failed so: invalid, not_found, conflict, permanent, transient, not_yet, deferred")
	cmd.Flags().StringVar(&f.Type, "type", "", "only chains with an event of this type at their head, such as OrderPlaced")
}

// narrow adds to a filter what an argument says, if there is one: ORDER, or PARTICIPANT/ORDER.
func narrow(f *rest.LetterFilter, args []string) error {
	for _, arg := range args {
		f.OrderID = arg
		if participant, order, ok := strings.Cut(arg, "/"); ok {
			f.Participant, f.OrderID = participant, order
		}
		if f.OrderID == "" {
			return usageError{fmt.Errorf("%q names no order", arg)}
		}
	}
	return nil
}

// tooOften is how often a head may fail redrives before another takes --force. The console says so too.
const tooOften = 5

// heads lists the first letters of the chains that are meant, the longest waiting first; at most so many, 0 means all.
// Where there is such a bound, those that cannot be redriven without force do not use it up: they are passed over.
func (o operator) heads(ctx context.Context, f rest.LetterFilter, most uint, force bool) ([]rest.Letter, error) {
	heads, passed := []rest.Letter{}, 0
	seen := map[string]bool{} // a chain that moves while the list is read may come twice
	for paging := (rest.Paging{Size: 200}); ; {
		page, err := o.Letters(ctx, f, paging)
		if err != nil {
			return nil, err
		}
		for _, l := range page.Letters {
			switch {
			case seen[nameOf(l)] || most > 0 && uint(len(heads)) == most:
			case most > 0 && !force && l.Redrives >= tooOften && l.RetryAt.IsZero():
				passed++
			default:
				heads = append(heads, l)
			}
			seen[nameOf(l)] = true
		}
		switch paging.Token = page.NextPageToken; {
		case paging.Token != "" && (most == 0 || uint(len(heads)) < most):
		case len(heads)+passed == 0 && f.OrderID != "":
			return nil, fault.New(fault.NotFound,
				"nothing of order %s is parked; what was done about it: troupe dead-letters log %s", f.OrderID, f.OrderID)
		default:
			if passed > 0 {
				_, _ = fmt.Fprintf(o.errs, "%d passed over whose heads failed %d redrives; --force takes them too\n", passed, tooOften)
			}
			return heads, nil
		}
	}
}

// head is the first letter of the one chain that an argument names.
func (o operator) head(ctx context.Context, args []string) (rest.Letter, error) {
	var f rest.LetterFilter
	if err := narrow(&f, args); err != nil {
		return rest.Letter{}, err
	}
	heads, err := o.heads(ctx, f, 0, false)
	if err != nil {
		return rest.Letter{}, err
	}
	if len(heads) > 1 {
		return rest.Letter{}, usageError{fmt.Errorf("several participants have parked something of this order: say which, as in %s",
			nameOf(heads[0]))}
	}
	return heads[0], nil
}

// nameOf is the chain of a letter.
func nameOf(l rest.Letter) string { return l.Participant + "/" + l.OrderID }
