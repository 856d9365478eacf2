package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/wait"
	"github.com/troupe-dev/troupe/services/query"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

func rebuildCommand() *cobra.Command {
	var d consoleAPI
	var follow, status, cancel bool
	cmd := &cobra.Command{
		Use: "rebuild", Short: "Rebuild the read model from the log, beside the live one", Args: cobra.NoArgs,
		Long: `Builds every partition of the read model from the log's start, beside the live one, and swaps them as soon as it has caught up.
Reads go on all the time. Whatever was wrong is then what the log says.

Exit codes: 0 done (without --wait: begun); 1 failed or refused; 2 wrong usage; 3 took too long (--timeout): it goes on.`,
		Example: `  troupe rebuild --wait
  troupe rebuild --status
  troupe rebuild --cancel`,
		RunE: d.run(func(ctx context.Context, o operator, _ []string) (err error) {
			var r rest.Rebuild
			switch {
			case status:
				r, err = o.Rebuild(ctx, query.Name)
			case cancel:
				r, err = o.CancelRebuild(ctx, query.Name)
			default:
				r, err = o.StartRebuild(ctx, query.Name)
			}
			if follow && fault.ClassOf(err) == fault.Conflict { // one is under way
				r, err = o.Rebuild(ctx, query.Name)
			}
			if follow && err == nil {
				r, err = o.rebuilt(ctx, r)
			}
			if err != nil {
				return err
			}
			head := "PARTITION\tSTATE\tRECORDS\tOF\tDELETES WHAT WAS"
			return table(o.printer, r, "", head, r.Partitions, func(p rest.RebuildPartition) []any {
				return []any{p.Partition, p.State, p.Folded, p.Of, p.Clearing}
			})
		}),
	}
	d.flags(cmd, 0)
	f := cmd.Flags()
	f.BoolVar(&follow, "wait", false, "show how far it is until it ends; joins one that is under way")
	f.BoolVar(&status, "status", false, "only show the last one")
	f.BoolVar(&cancel, "cancel", false, "give up the one under way; what is live stays")
	cmd.MarkFlagsMutuallyExclusive("wait", "status", "cancel")
	return cmd
}

// rebuilt waits until a rebuild ends, and says how far it is.
func (o operator) rebuilt(ctx context.Context, r rest.Rebuild) (_ rest.Rebuild, err error) {
	for r.Active {
		_, _ = fmt.Fprintf(o.errs, "%d of %d records\n", r.Folded, r.Of)
		if wait.Sleep(ctx, time.Second) == nil {
			r, err = steadily(ctx, func() (rest.Rebuild, error) { return o.Rebuild(ctx, query.Name) })
		}
		if ctx.Err() != nil {
			return r, errors.New("the rebuild goes on; how far it is: troupe rebuild --status")
		}
		if err != nil {
			return r, err
		}
	}
	for _, p := range r.Partitions {
		switch p.State {
		case "none":
			return r, errors.New("the request is gone: Redis was wiped meanwhile, and the read model is rebuilt anyway")
		case "cancelled":
			return r, errors.New("it was cancelled")
		}
	}
	return r, nil
}
