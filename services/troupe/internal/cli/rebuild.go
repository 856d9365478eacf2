package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/spf13/cobra"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/services/troupe/internal/terminal"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

func rebuildCommand() *cobra.Command {
	var d consoleAPI
	var wait, status, cancel bool
	cmd := &cobra.Command{
		Use: "rebuild", Short: "Rebuild the read model from the log, beside the live one", Args: none,
		Long: `Builds every partition of the read model from the log's start, beside the live one, and swaps them as soon as it has caught up.
Reads go on all the time. Whatever was wrong is then what the log says.

Exit codes: 0 done (without --wait: begun); 1 failed or refused; 2 wrong usage; 3 took too long (--timeout): it goes on.`,
		Example: `  troupe rebuild --wait
  troupe rebuild --status
  troupe rebuild --cancel`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if status && (cancel || wait) || cancel && wait {
				return usageError{errors.New("--status and --cancel go with no other")}
			}
			return d.with(cmd, wait && !cmd.Flags().Changed("timeout"), func(ctx context.Context, o operator) (err error) {
				var r rest.Rebuild
				switch {
				case status:
					r, err = o.Rebuild(ctx)
				case cancel:
					r, err = o.CancelRebuild(ctx)
				default:
					r, err = o.startRebuild(ctx, wait)
				}
				switch {
				case err != nil:
					return err
				case wait:
					return o.watchRebuild(ctx, r)
				}
				o.printRebuild(r)
				return nil
			})
		},
	}
	d.flags(cmd)
	f := cmd.Flags()
	f.BoolVar(&wait, "wait", false, "show how far it is until it ends, as long as it takes unless --timeout is given; joins one that is under way")
	f.BoolVar(&status, "status", false, "only show the last one")
	f.BoolVar(&cancel, "cancel", false, "give up the one under way; what is live stays")
	return cmd
}

// startRebuild begins one; who waits is content with one that is under way.
func (o operator) startRebuild(ctx context.Context, wait bool) (rest.Rebuild, error) {
	r, err := o.StartRebuild(ctx)
	if p := (*problem.Problem)(nil); wait && errors.As(err, &p) && p.Status == http.StatusConflict {
		return o.Rebuild(ctx)
	}
	return r, err
}

// watchRebuild shows how far a rebuild is until it ends.
func (o operator) watchRebuild(ctx context.Context, r rest.Rebuild) error {
	shown := int64(-1)
	for r.Active {
		if r.Folded != shown && !o.json {
			shown = r.Folded
			o.progress("%d of %d records", r.Folded, r.Of)
		}
		if pause(ctx); ctx.Err() != nil {
			return fmt.Errorf("the rebuild goes on; how far it is: troupe rebuild --status: %w", ctx.Err())
		}
		next, err := o.Rebuild(ctx)
		switch {
		case err == nil:
			r = next
		case ctx.Err() == nil && fault.ClassOf(err) != fault.Unavailable: // otherwise it may go on nevertheless
			return err
		}
	}
	o.printRebuild(r)
	var ended []string
	for _, p := range r.Partitions {
		ended = append(ended, p.State)
	}
	switch {
	case slices.Contains(ended, "none"):
		return errors.New("the request is gone: Redis was wiped meanwhile, and the read model is rebuilt anyway")
	case slices.Contains(ended, "cancelled"):
		return errors.New("it was cancelled")
	}
	return nil
}

// printRebuild says how many partitions are in which state.
func (p *printer) printRebuild(r rest.Rebuild) {
	if p.json {
		p.document(r.Raw)
		return
	}
	p.endProgress()
	states := map[string]int{}
	clearing := 0
	for _, part := range r.Partitions {
		states[part.State]++
		if part.Clearing {
			clearing++
		}
	}
	for _, state := range []string{"requested", "folding", "swapped", "cancelled", "none"} {
		if states[state] > 0 {
			p.f("%s %s\n", count(states[state], "partition", "partitions"), p.style.Paint(terminal.Bold, state))
		}
	}
	p.f("%d of %d records\n", r.Folded, r.Of)
	if clearing > 0 {
		p.f("%s still deleting what is no longer used\n", count(clearing, "partition is", "partitions are"))
	}
}
