package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/services/troupe/internal/terminal"
	"github.com/troupe-dev/troupe/services/troupe/rest"
	"golang.org/x/sync/errgroup"
)

const (
	// tooOften is how often a head may fail redrives before another takes --force. The service says so too.
	tooOften = 5
	// atOnce bounds the chains that are waited for at one moment.
	atOnce = 64
	// listSize is the most that the console lists on one page.
	listSize = 100
)

// bulk are the flags of what is done to many chains: the operation on one chain, repeated.
type bulk struct {
	rest.LetterFilter
	group                   string
	all, dryRun, force, yes bool
	rate, limit             int
}

func (b *bulk) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&b.group, "group", "",
		"every chain of this PARTICIPANT/CLASS/TYPE; parts may be left empty, as in payment// or payment//OrderPlaced")
	f.BoolVar(&b.all, "all", false, "everything that is parked")
	f.BoolVar(&b.dryRun, "dry-run", false,
		"with --group or --all: only say what would be done, and why those are parked")
	f.IntVar(&b.rate, "rate", 50, "with --group or --all: orders a second at most, 1 to 1000")
	f.IntVar(&b.limit, "limit", 0,
		"with --group or --all: at most so many orders, the longest waiting first; 0 is no limit")
}

// check holds flags and arguments to each other: one order, or a group, or all.
func (b *bulk) check(cmd *cobra.Command, args []string) error {
	many := b.all || b.group != ""
	switch {
	case b.all && b.group != "":
		return usageError{errors.New("--all does not go with --group")}
	case many && len(args) > 0:
		return usageError{errors.New("one order does not go with --group and --all")}
	case !many && len(args) != 1:
		const needs = "needs one PARTICIPANT/ORDER or ORDER, or --group, or --all; got %d arguments"
		return usageError{fmt.Errorf(needs, len(args))}
	}
	if !many {
		for _, flag := range []string{"dry-run", "rate", "limit", "yes"} {
			if cmd.Flags().Changed(flag) {
				return usageError{fault.Field("--"+flag, "goes with --group or --all")}
			}
		}
		return nil
	}
	if b.rate < 1 || b.rate > 1000 {
		return usageError{fault.Field("--rate", "must be 1 to 1000, is %d", b.rate)}
	}
	if b.limit < 0 {
		return usageError{fault.Field("--limit", "must not be negative, is %d", b.limit)}
	}
	if b.all {
		return nil
	}
	part := strings.Split(b.group, "/")
	if len(part) > 3 || strings.Join(part, "") == "" {
		return usageError{fault.Field("--group",
			"must be PARTICIPANT/CLASS/TYPE, such as payment/permanent/OrderPlaced, is %q", b.group)}
	}
	part = append(part, "", "")
	b.Participant, b.Class, b.Type = part[0], part[1], part[2]
	return nil
}

// run does it and shows how far it is. Without --timeout it takes as long as it takes. Running it again goes on with
// what is left.
func (b *bulk) run(cmd *cobra.Command, d *consoleAPI, action string, w who) error {
	return d.with(cmd, !cmd.Flags().Changed("timeout"), func(ctx context.Context, o operator) error {
		heads, passedOver, err := b.heads(ctx, o, action)
		if err != nil {
			return err
		}
		would := newDryRun(action, heads, passedOver)
		if b.dryRun {
			o.printDryRun(would)
			return nil
		}
		if action == "discard" && !b.yes {
			if err := o.consent(cmd, would); err != nil {
				return err
			}
		}
		r := &bulkRun{operator: o, action: action, shown: time.Now()}
		r.act = rest.Act{By: w.by, Reason: w.reason, Force: b.force}
		r.Total, r.PassedOver = len(heads)+passedOver, passedOver
		return r.end(ctx, r.each(ctx, heads, b.rate))
	})
}

// heads lists the heads of the chains that are meant, the longest waiting first, and counts those that need --force.
func (b *bulk) heads(ctx context.Context, o operator, action string) (heads []rest.Letter, passedOver int, err error) {
	seen := map[chainName]bool{} // a chain that moves while the list is read may come twice
	for paging := (rest.Paging{Size: listSize}); ; {
		page, err := o.Letters(ctx, b.LetterFilter, paging)
		if err != nil {
			return nil, 0, err
		}
		for _, l := range page.Letters {
			switch name := nameOf(l); {
			case b.limit > 0 && len(heads) == b.limit:
				return heads, passedOver, nil
			case seen[name]:
			case action == "redrive" && l.Redrives >= tooOften && l.RetryAt.IsZero() && !b.force:
				passedOver++
				seen[name] = true
			default:
				heads = append(heads, l)
				seen[name] = true
			}
		}
		if paging.Token = page.NextPageToken; paging.Token == "" {
			return heads, passedOver, nil
		}
	}
}

// consent asks before a discard of many.
func (o operator) consent(cmd *cobra.Command, would dryRun) error {
	if !o.interactive || !terminal.Is(cmd.InOrStdin()) {
		return usageError{fault.Field("--yes", "is needed where nobody can be asked: %s would be discarded",
			count(would.Orders, "event", "events"))}
	}
	o.drawReasons(would)
	answer, err := o.ask(bufio.NewReader(cmd.InOrStdin()), "Discard them for good? [y/N] ")
	if err == nil && answer != "y" {
		err = errors.New("nothing was discarded")
	}
	return err
}

func (p *printer) ask(in *bufio.Reader, question string) (string, error) {
	p.f("%s", question)
	answer, err := in.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("nobody answered: %w", err)
	}
	return strings.ToLower(strings.TrimSpace(answer)), nil
}

// bulkRun is a redrive or discard of many chains under way; the numbers are chains.
type bulkRun struct {
	operator
	action string
	act    rest.Act

	mu    sync.Mutex
	shown time.Time // when progress was shown last
	bulkCounts
}

type bulkCounts struct {
	Total      int `json:"total"`
	Done       int `json:"done"`
	Failed     int `json:"failed"`
	PassedOver int `json:"passed_over"` // need --force, or are parked no more
	Waiting    int `json:"waiting"`     // asked for, and not answered yet
}

// each asks for every chain, at most rate a second, and returns when all are answered, ctx ends, or one cannot be asked
// for.
func (r *bulkRun) each(ctx context.Context, heads []rest.Letter, rate int) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for _, head := range heads {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return g.Wait()
		}
		g.Go(func() error { return r.one(ctx, head) })
	}
	return g.Wait()
}

// one brings one chain to its outcome; a console that is away for a moment is asked again, which is harmless.
func (r *bulkRun) one(ctx context.Context, head rest.Letter) error {
	a := r.act
	if r.action == "discard" {
		a.LetterID = head.LetterID
	}
	s, err := r.outcome(ctx, nameOf(head), r.action, a)
	for fault.ClassOf(err) == fault.Unavailable && ctx.Err() == nil {
		pause(ctx)
		s, err = r.outcome(ctx, nameOf(head), r.action, a)
	}
	class := fault.ClassOf(err)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case ctx.Err() != nil && err != nil:
		r.Waiting++
		return nil
	case err == nil && s.State == "done":
		r.Done++
	case err == nil && s.State == "failed":
		r.Failed++
	case err == nil || class == fault.NotFound || class == fault.Conflict:
		r.PassedOver++
	default:
		return fmt.Errorf("%s: %w", nameOf(head), err)
	}
	if now := time.Now(); now.Sub(r.shown) >= askEvery && !r.json {
		r.shown = now
		r.progress("%d of %d, %d %s, %d passed over",
			r.Done+r.Failed+r.PassedOver, r.Total, r.Failed, r.failedAgain(), r.PassedOver)
	}
	return nil
}

func (r *bulkRun) failedAgain() string {
	if r.action == "discard" {
		return "refused"
	}
	return "failed again"
}

// end says what became of all, and how the command ends.
func (r *bulkRun) end(ctx context.Context, failed error) error {
	state := "finished"
	if failed != nil || ctx.Err() != nil {
		state = "stopped"
	}
	r.print(state)
	switch {
	case failed != nil:
		return failed
	case ctx.Err() != nil:
		return fmt.Errorf("stopped before the end; the same command goes on with what is left: %w", ctx.Err())
	case r.Failed+r.PassedOver > 0:
		return codedError{errStillParked, exitParked}
	}
	return nil
}

func (r *bulkRun) print(state string) {
	if r.json {
		r.value(struct {
			Action string `json:"action"`
			State  string `json:"state"`
			bulkCounts
		}{r.action, state, r.bulkCounts})
		return
	}
	r.endProgress()
	r.f("%s %s: %s, %d %s, %d passed over, %d not answered yet, of %d\n", r.action, state,
		r.style.Paint(terminal.Green, count(r.Done, "order done", "orders done")), r.Failed, r.failedAgain(),
		r.PassedOver, r.Waiting, r.Total)
	if r.Failed+r.PassedOver > 0 {
		r.f("What is left: troupe dead-letters list\n")
	}
}
