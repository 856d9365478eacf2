package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/wait"
	"github.com/troupe-dev/troupe/services/troupe/internal/terminal"
	"github.com/troupe-dev/troupe/services/troupe/rest"
	"golang.org/x/sync/errgroup"
)

// errStillParked is what was asked for and did not bring everything back; the outcome is printed by then.
var errStillParked = errors.New("still parked")

// askAgain is the pause before the console is asked again.
const askAgain = 250 * time.Millisecond

// actFlags say who asks and why. reason says what the reason is of.
func actFlags(cmd *cobra.Command, a *rest.Act, reason string) {
	cmd.Flags().StringVar(&a.By, "by", variable("USER", systemUser()), "who asks, where the console takes no tokens; kept for ever in the log")
	cmd.Flags().StringVar(&a.Reason, "reason", "", reason+"; kept for ever in the log")
	cmd.PreRunE = func(*cobra.Command, []string) error {
		switch {
		case strings.TrimSpace(a.By) == "":
			return usageError{fault.Field("--by", "must say who asks")}
		case cmd.Flags().Changed("reason") && strings.TrimSpace(a.Reason) == "":
			return usageError{fault.Field("--reason", "must say why")}
		}
		return nil
	}
}

func systemUser() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}

func redriveCommand() *cobra.Command {
	var d consoleAPI
	var f rest.LetterFilter
	var a rest.Act
	var all, dryRun bool
	var rate, limit uint
	cmd := &cobra.Command{
		Use: "redrive [ORDER]", Short: "Bring an order back, or a group, or all: first in, first out, until one fails again", Args: cobra.MaximumNArgs(1),
		Long: `Runs the chain of an order from its first event, through the service that parked it, and says what became of it. At the first
event that fails again it stops; that one and all behind it wait on. What happened already does not happen again.

With --participant, --class and --type, or --all, it does so with every chain meant, one by one, at most --rate a second, however long
that takes unless --timeout is given. Ctrl-C stops it; the same command goes on with what is left. A chain whose head failed five
redrives is refused without --force, and not one of the --limit.`,
		Example: `  troupe dead-letters redrive 0f8fad5b-d9cb-569f-a165-70867728950e
  troupe dead-letters redrive --participant payment --class permanent --dry-run
  troupe dead-letters redrive --all --rate 200 --reason 'gateway account put right'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch err := narrow(&f, args); {
			case err != nil:
				return err
			case all == (f != rest.LetterFilter{}):
				return usageError{errors.New("either --all, or an ORDER, --participant, --class or --type must say what is meant")}
			case rate < 1 || rate > 1000:
				return usageError{fault.Field("--rate", "must be 1 to 1000, is %d", rate)}
			}
			if f.OrderID == "" && !cmd.Flags().Changed("timeout") {
				d.timeout = 0
			}
			return d.with(cmd, func(ctx context.Context, o operator) error {
				heads, err := o.heads(ctx, f, limit, a.Force)
				if err != nil {
					return err
				}
				if dryRun {
					return o.printLetters(rest.LetterPage{Letters: heads})
				}
				return o.redrive(ctx, heads, a, rate)
			})
		},
	}
	d.flags(cmd, readWithin)
	filterFlags(cmd, &f)
	actFlags(cmd, &a, "why it will go well now")
	cmd.Flags().BoolVar(&a.Force, "force", false, "also when the head failed five redrives")
	cmd.Flags().BoolVar(&all, "all", false, "everything that is parked")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only list what would be redriven")
	cmd.Flags().UintVar(&rate, "rate", 50, "orders a second at most, 1 to 1000")
	cmd.Flags().UintVar(&limit, "limit", 0, "at most so many orders, the longest waiting first; 0 is no limit")
	return cmd
}

// redrive asks for each chain, at most rate a second, and says meanwhile what becomes of them, in the same order.
func (o operator) redrive(ctx context.Context, heads []rest.Letter, a rest.Act, rate uint) error {
	asked := make(chan rest.RequestState, len(heads))
	var g errgroup.Group
	g.Go(func() error {
		defer close(asked)
		tick := time.NewTicker(time.Second / time.Duration(rate))
		defer tick.Stop()
		for _, head := range heads {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return ctx.Err()
			}
			s, err := o.ask(ctx, head, a)
			if err != nil {
				return fmt.Errorf("%s: %w", nameOf(head), err)
			}
			asked <- s
		}
		return nil
	})
	done := 0
	var unknown error
	for s := range asked {
		switch err := o.outcome(ctx, s); {
		case err == nil:
			done++
		case !errors.Is(err, errStillParked):
			unknown = err
		}
	}
	err := cmp.Or(g.Wait(), unknown)
	if ctx.Err() != nil {
		return errors.New("stopped before the end; the same command goes on with what is left")
	}
	if len(heads) != 1 && !o.json {
		_, _ = fmt.Fprintf(o.out, "%d of %d orders done\n", done, len(heads))
	}
	if err == nil && done < len(heads) {
		err = errStillParked
	}
	return err
}

// ask asks for the redrive of one chain. That it is refused is an outcome too.
func (o operator) ask(ctx context.Context, head rest.Letter, a rest.Act) (s rest.RequestState, err error) {
	s, err = steadily(ctx, func() (rest.RequestState, error) {
		return o.Act(ctx, head.Participant, head.OrderID, "redrive", a, 0)
	})
	if class := fault.ClassOf(err); class == fault.NotFound || class == fault.Conflict {
		return rest.RequestState{Participant: head.Participant, OrderID: head.OrderID, Action: "redrive", State: "refused", Message: err.Error()}, nil
	}
	return s, err
}

// steadily tries again while the console is away, which forgets nothing, until ctx ends.
func steadily[T any](ctx context.Context, try func() (T, error)) (T, error) {
	for {
		answer, err := try()
		if fault.ClassOf(err) != fault.Unavailable || wait.Sleep(ctx, askAgain) != nil {
			return answer, err
		}
	}
}

// outcome waits for what becomes of a request until ctx ends, and says it. The error is errStillParked unless it was
// done.
func (o operator) outcome(ctx context.Context, s rest.RequestState) error {
	for s.State == "waiting" && ctx.Err() == nil {
		next, err := steadily(ctx, func() (rest.RequestState, error) { return o.Request(ctx, s.RequestID, rest.MaxWait) })
		switch {
		case err == nil:
			s = next
		case ctx.Err() == nil:
			return fmt.Errorf("request %s is in the log and goes on: %w", terminal.Clean(s.RequestID), err)
		}
		if s.State == "waiting" {
			_ = wait.Sleep(ctx, askAgain) // the console stops, and is started again
		}
	}
	var err error
	if o.json {
		err = o.document(s)
	} else {
		figures, why := "", s.LetterID+" "+s.Class+" "+s.Message
		switch s.State {
		case "waiting":
			why = "request " + s.RequestID + " is in the log and goes on"
		case "done", "failed": // of one that is refused nobody says what waits
			figures = fmt.Sprintf("%d came back, %d wait  ", s.Redriven, s.Waiting)
		}
		_, err = fmt.Fprintf(o.out, "%s  %s %s: %s%s\n", terminal.Clean(s.Participant+"/"+s.OrderID),
			terminal.Clean(s.Action), terminal.Clean(s.State), figures, terminal.Cut(why, 500))
	}
	if s.State != "done" {
		return errStillParked
	}
	return err
}

// act asks for something of one chain, and says what becomes of it.
func (o operator) act(ctx context.Context, head rest.Letter, action string, a rest.Act) error {
	s, err := o.Act(ctx, head.Participant, head.OrderID, action, a, 0)
	if err != nil {
		return err
	}
	return o.outcome(ctx, s)
}

func discardCommand() *cobra.Command {
	var d consoleAPI
	var a rest.Act
	cmd := &cobra.Command{
		Use: "discard ORDER", Short: "Give an event up for good; what stands behind it waits for a redrive", Args: cobra.ExactArgs(1),
		Long: `Takes one event out of its chain, the first unless --letter names another: it counts as seen from then on, and no answer to it
will ever come. It stays in the log with who did it and why.`,
		RunE: d.run(func(ctx context.Context, o operator, args []string) error {
			head, err := o.head(ctx, args)
			if err != nil {
				return err
			}
			a.LetterID = cmp.Or(a.LetterID, head.LetterID)
			return o.act(ctx, head, "discard", a)
		}),
	}
	d.flags(cmd, readWithin)
	actFlags(cmd, &a, "why nobody will miss it")
	_ = cmd.MarkFlagRequired("reason")
	cmd.Flags().StringVar(&a.LetterID, "letter", "", "id of the event, where it is not the first")
	return cmd
}
