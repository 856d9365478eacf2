package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/wait"
	"github.com/troupe-dev/troupe/services/troupe/internal/terminal"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

// errStillParked is what was asked for and failed again; the outcome is printed by then.
var errStillParked = errors.New("still parked")

func redriveCommand() *cobra.Command {
	var d consoleAPI
	var w who
	var b bulk
	cmd := &cobra.Command{
		Use: "redrive ORDER | --group PARTICIPANT/CLASS/TYPE | --all", Short: "Bring an order back, or a group, or all: first in, first out, until one fails again",
		Long: `Runs the chain of an order from its first event, through the service that parked it, and says what became of it. At the first
event that fails again it stops; that one and all behind it wait on. What happened already does not happen again.

With --group or --all it does so with every chain meant, one by one, at most --rate a second, and shows how far it is. Ctrl-C stops it;
the same command goes on with what is left. A chain whose head failed five redrives is passed over without --force.`,
		Example: `  troupe dead-letters redrive payment/0f8fad5b-d9cb-569f-a165-70867728950e
  troupe dead-letters redrive --group payment/permanent/OrderPlaced --dry-run
  troupe dead-letters redrive --all --rate 200 --reason 'gateway account put right'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := errors.Join(b.check(cmd, args), w.check(false)); err != nil {
				return err
			}
			if len(args) == 0 {
				return b.run(cmd, &d, "redrive", w)
			}
			return d.with(cmd, false, func(ctx context.Context, o operator) error {
				name, err := o.chain(ctx, args[0])
				if err != nil {
					return err
				}
				return o.act(ctx, name, "redrive", rest.Act{By: w.by, Reason: w.reason, Force: b.force})
			})
		},
	}
	d.flags(cmd)
	b.flags(cmd)
	w.flags(cmd, "why it will go well now")
	cmd.Flags().BoolVar(&b.force, "force", false, "also when the head failed five redrives")
	return cmd
}

func discardCommand() *cobra.Command {
	var d consoleAPI
	var w who
	var b bulk
	var letter string
	cmd := &cobra.Command{
		Use: "discard ORDER | --group PARTICIPANT/CLASS/TYPE | --all", Short: "Give an event up for good; what stands behind it waits for a redrive",
		Long: `Takes one event out of its chain, the first unless --letter names another: it counts as seen from then on, and no answer to it
will ever come. It stays in the log with who did it and why. With --group or --all it does so with the first event of every chain
meant, and asks before unless --yes is given.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := errors.Join(b.check(cmd, args), w.check(!b.dryRun)); err != nil {
				return err
			}
			if len(args) == 0 {
				if letter != "" {
					return usageError{fault.Field("--letter", "goes with one order")}
				}
				return b.run(cmd, &d, "discard", w)
			}
			return d.with(cmd, false, func(ctx context.Context, o operator) error {
				name, err := o.chain(ctx, args[0])
				if err != nil {
					return err
				}
				id := letter
				if id == "" {
					head, err := o.head(ctx, name)
					if err != nil {
						return err
					}
					id = head.LetterID
				}
				return o.act(ctx, name, "discard", rest.Act{By: w.by, Reason: w.reason, LetterID: id})
			})
		},
	}
	d.flags(cmd)
	b.flags(cmd)
	w.flags(cmd, "why nobody will miss it")
	cmd.Flags().StringVar(&letter, "letter", "", "id of the event, where it is not the first")
	cmd.Flags().BoolVar(&b.yes, "yes", false, "do not ask before discarding a group, or all")
	return cmd
}

// head is the first letter of a chain.
func (o operator) head(ctx context.Context, name chainName) (rest.ChainLetter, error) {
	c, err := o.Chain(ctx, name.participant, name.order, rest.Paging{Size: 1})
	if err != nil {
		return rest.ChainLetter{}, err
	}
	if len(c.Letters) == 0 {
		return rest.ChainLetter{}, fault.New(fault.NotFound, "nothing of %s waits any more", name)
	}
	return c.Letters[0], nil
}

// act asks, waits for the outcome until ctx ends, and says it.
func (o operator) act(ctx context.Context, name chainName, action string, a rest.Act) error {
	s, err := o.outcome(ctx, name, action, a)
	switch {
	case err == nil:
		return o.printOutcome(name, s)
	case s.RequestID == "":
		return err
	case ctx.Err() == nil:
		return fmt.Errorf("request %s is in the log and goes on: %w", terminal.Clean(s.RequestID), err)
	case o.json:
		o.document(s.Raw)
	}
	return fmt.Errorf("request %s is in the log and goes on; what became of it: troupe dead-letters show %s", terminal.Clean(s.RequestID), name)
}

// outcome asks, and waits for the outcome until ctx ends. With an error, the request is in the log if its id is
// returned.
func (o operator) outcome(ctx context.Context, name chainName, action string, a rest.Act) (rest.RequestState, error) {
	s, err := o.Act(ctx, name.participant, name.order, action, a, patience(ctx))
	for err == nil && s.State == "waiting" {
		s, err = o.again(ctx, s)
	}
	return s, err
}

// askEvery is how often the console is asked how far something is.
const askEvery = 250 * time.Millisecond

// again asks what became of a request; a console that is away for a moment has forgotten nothing.
func (o operator) again(ctx context.Context, s rest.RequestState) (rest.RequestState, error) {
	wait := patience(ctx)
	if wait < time.Second {
		pause(ctx)
	}
	next, err := o.Request(ctx, s.RequestID, wait)
	if err == nil {
		return next, nil
	}
	if ctx.Err() == nil && fault.ClassOf(err) == fault.Unavailable {
		pause(ctx)
		err = nil
	}
	return s, err
}

// patience is how long a call may wait: what the console allows, and less when ctx ends before, so that the answer is
// still heard.
func patience(ctx context.Context) time.Duration {
	if ends, ok := ctx.Deadline(); ok {
		return max(0, min(rest.MaxWait, time.Until(ends)-time.Second))
	}
	return rest.MaxWait
}

// pause waits for a moment, or until ctx ends.
func pause(ctx context.Context) { _ = wait.Sleep(ctx, askEvery) } // who called looks at ctx

func (o operator) printOutcome(name chainName, s rest.RequestState) error {
	if o.json {
		o.document(s.Raw)
	} else {
		o.f("%s  %s\n", o.style.Paint(terminal.Bold, name.String()), o.became(s))
		if s.Waiting > 0 && s.State != "refused" {
			o.f("%s; look: troupe dead-letters show %s\n", count(s.Waiting, "letter still waits", "letters still wait"), name)
		}
	}
	switch s.State {
	case "done":
		return nil
	case "failed":
		return codedError{errStillParked, exitParked}
	}
	return fmt.Errorf("%s: %s", terminal.Clean(s.State), terminal.Cut(s.Message, 500))
}

func (o operator) became(s rest.RequestState) string {
	back := count(s.Redriven, "letter came back", "letters came back")
	switch {
	case s.State == "done" && s.Action == "discard":
		return o.style.Paint(terminal.Green, "discarded")
	case s.State == "done":
		return o.style.Paint(terminal.Green, back)
	case s.State == "failed":
		return fmt.Sprintf("%s, then %s %s (%s): %s", back, terminal.Clean(s.LetterID), o.style.Paint(terminal.Red, "failed again"),
			terminal.Clean(s.Class), terminal.Cut(s.Message, 500))
	}
	return o.style.Paint(terminal.Red, "not done")
}
