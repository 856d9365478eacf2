package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/services/troupe/internal/terminal"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

// askEvery is how often a job is asked how far it is.
const askEvery = 250 * time.Millisecond

// bulk are the flags of what is done to many chains.
type bulk struct {
	rest.Bulk
	group string
	yes   bool
}

func (b *bulk) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&b.group, "group", "", "every chain of this PARTICIPANT/CLASS/TYPE; parts may be left empty, as in payment// or payment//OrderPlaced")
	f.BoolVar(&b.All, "all", false, "everything that waits")
	f.BoolVar(&b.DryRun, "dry-run", false, "with --group or --all: only say what would be done, and why those wait")
	f.IntVar(&b.Rate, "rate", 50, "with --group or --all: orders a second, 1 to 1000")
	f.IntVar(&b.Limit, "limit", 0, "with --group or --all: at most so many orders, the longest waiting first; 0 is no limit")
}

// check holds flags and arguments to each other: one order, or a group, or all.
func (b *bulk) check(cmd *cobra.Command, args []string) error {
	many := b.All || b.group != ""
	switch {
	case b.All && b.group != "":
		return usageError{errors.New("--all does not go with --group")}
	case many && len(args) > 0:
		return usageError{errors.New("one order does not go with --group and --all")}
	case !many && len(args) != 1:
		return usageError{fmt.Errorf("needs one PARTICIPANT/ORDER or ORDER, or --group, or --all; got %d arguments", len(args))}
	}
	if !many {
		for _, flag := range []string{"dry-run", "rate", "limit", "yes"} {
			if cmd.Flags().Changed(flag) {
				return usageError{fault.Field("--"+flag, "goes with --group or --all")}
			}
		}
		return nil
	}
	if b.Rate < 1 || b.Rate > 1000 {
		return usageError{fault.Field("--rate", "must be 1 to 1000, is %d", b.Rate)}
	}
	if b.Limit < 0 {
		return usageError{fault.Field("--limit", "must not be negative, is %d", b.Limit)}
	}
	if b.All {
		return nil
	}
	part := strings.Split(b.group, "/")
	if len(part) > 3 || strings.Join(part, "") == "" {
		return usageError{fault.Field("--group", "must be PARTICIPANT/CLASS/TYPE, such as payment/permanent/OrderPlaced, is %q", b.group)}
	}
	part = append(part, "", "")
	b.Participant, b.Class, b.Type = part[0], part[1], part[2]
	return nil
}

// run does it and shows how far it is. Without --timeout it takes as long as it takes.
func (b *bulk) run(cmd *cobra.Command, d *consoleDoor, action string, w who) error {
	b.By, b.Reason = w.by, w.reason
	if b.DryRun && action == "discard" && b.Reason == "" {
		b.Reason = "dry run" // the contract wants one; nothing is written
	}
	return d.with(cmd, !cmd.Flags().Changed("timeout"), func(ctx context.Context, o operator) error {
		if b.DryRun || action == "discard" && !b.yes {
			would, err := o.DryRun(ctx, action, b.Bulk)
			if err != nil {
				return err
			}
			if b.DryRun {
				return o.printDryRun(action, would)
			}
			if err := o.consent(cmd, would); err != nil {
				return err
			}
		}
		job, err := o.Start(ctx, action, b.Bulk)
		if err != nil {
			return err
		}
		return o.watch(ctx, cmd, job)
	})
}

// consent asks before a discard of many.
func (o operator) consent(cmd *cobra.Command, would rest.DryRun) error {
	if !o.interactive || !terminal.Is(cmd.InOrStdin()) {
		return usageError{fault.Field("--yes", "is needed where nobody can be asked: %s would be discarded", count(would.Orders, "event", "events"))}
	}
	if err := o.drawReasons("discard", would); err != nil {
		return err
	}
	answer, err := ask(o, bufio.NewReader(cmd.InOrStdin()), "Discard them for good? [y/N] ")
	if err == nil && answer != "y" {
		err = errors.New("nothing was discarded")
	}
	return err
}

func ask(o operator, in *bufio.Reader, question string) (string, error) {
	if _, err := fmt.Fprint(o.out, question); err != nil {
		return "", err
	}
	answer, err := in.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("nobody answered: %w", err)
	}
	return strings.ToLower(strings.TrimSpace(answer)), nil
}

// watch shows how far a job is until it ends. When the command is interrupted, the job is stopped; when it only has no more time, not.
func (o operator) watch(ctx context.Context, cmd *cobra.Command, job rest.Job) error {
	shown := int64(0)
	for job.State == "running" {
		if gone := job.Done + job.Failed + job.PassedOver; gone != shown && !o.json {
			o.progress(job, gone)
			shown = gone
		}
		if pause(ctx); ctx.Err() != nil {
			return o.leave(ctx, cmd, job)
		}
		next, err := o.Job(ctx, job.ID)
		switch {
		case err == nil:
			job = next
		case ctx.Err() == nil && fault.ClassOf(err) == fault.Unavailable: // it may go on nevertheless
		case ctx.Err() == nil && fault.ClassOf(err) == fault.NotFound:
			return fmt.Errorf("job %s ended with the process that ran it; what it asked for already goes on; what is left: troupe dead-letters list",
				terminal.Clean(job.ID))
		case ctx.Err() == nil:
			return fmt.Errorf("job %s: %w", terminal.Clean(job.ID), err)
		}
	}
	return o.printJob(job)
}

// leave ends the watch of a job that runs.
func (o operator) leave(ctx context.Context, cmd *cobra.Command, job rest.Job) (err error) {
	id := terminal.Clean(job.ID)
	if cmd.Context().Err() == nil {
		if o.json {
			err = printJSON(o.out, job.Raw)
		}
		return errors.Join(fmt.Errorf("job %s goes on; what comes back: troupe dead-letters log", id), err)
	}
	within, done := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer done()
	if job, err = o.Cancel(within, job.ID); err != nil {
		return fmt.Errorf("job %s could not be stopped, and may go on: %w", id, err)
	}
	return o.printJob(job)
}

func (o operator) progress(j rest.Job, gone int64) {
	text := fmt.Sprintf("%d of %d, %d %s, %d passed over", gone, j.Total, j.Failed, failedAgain(j), j.PassedOver)
	if o.interactive {
		fmt.Fprintf(o.errs, "\r\x1b[K%s", text)
		return
	}
	fmt.Fprintln(o.errs, text)
}

func failedAgain(j rest.Job) string {
	if j.Action == "discard" {
		return "refused"
	}
	return "failed again"
}

func (o operator) printJob(j rest.Job) error {
	p := printer{out: o.out}
	switch {
	case o.json:
		p.err = printJSON(o.out, j.Raw)
	default:
		if o.interactive {
			fmt.Fprint(o.errs, "\r\x1b[K")
		}
		p.f("%s %s: %s, %d %s, %d passed over, %d not answered yet, of %d\n", terminal.Clean(j.Action), terminal.Clean(j.State),
			o.style.Paint(terminal.Green, count(j.Done, "order done", "orders done")), j.Failed, failedAgain(j), j.PassedOver, j.Waiting, j.Total)
		if j.Failed+j.PassedOver > 0 {
			p.f("What is left: troupe dead-letters list\n")
		}
	}
	switch {
	case p.err != nil:
		return p.err
	case j.State == "cancelled":
		return errors.New("stopped before the end")
	case j.State != "finished":
		return fmt.Errorf("the job is %s: %s", terminal.Clean(j.State), terminal.Cut(j.Error, 500))
	case j.Waiting > 0:
		return fmt.Errorf("%s not answered yet, and goes on: %w", count(j.Waiting, "order is", "orders are"), context.DeadlineExceeded)
	case j.Failed+j.PassedOver > 0:
		return codedError{errStillParked, exitParked}
	}
	return nil
}

func (o operator) printDryRun(action string, d rest.DryRun) error {
	if o.json {
		return printJSON(o.out, d.Raw)
	}
	if err := o.drawReasons(action, d); err != nil {
		return err
	}
	_, err := fmt.Fprintln(o.out, "To do it, leave --dry-run out.")
	return err
}

// drawReasons says what would be done, and draws how often each reason is there.
func (o operator) drawReasons(action string, d rest.DryRun) error {
	p := printer{out: o.out}
	if action == "discard" {
		p.f("would discard the first event of %s, for good", count(d.Orders, "order", "orders"))
	} else {
		p.f("would redrive %s with %s", count(d.Orders, "order", "orders"), count(d.Letters, "letter", "letters"))
	}
	if d.PassedOver > 0 {
		p.f("; %s whose first event failed five redrives would be passed over without --force", count(d.PassedOver, "order", "orders"))
	}
	p.f("\n")
	most := int64(1)
	for _, r := range d.Reasons {
		most = max(most, r.Orders)
	}
	for _, r := range d.Reasons {
		bar := strings.Repeat("█", int(max(1, 20*r.Orders/most)))
		p.f("%7d  %s%s  %s\n%s%s\n", r.Orders, o.style.Paint(terminal.Yellow, bar), strings.Repeat(" ", 20-len([]rune(bar))),
			o.style.Paint(terminal.Bold, groupName(r.Participant, r.Class, r.Type)), strings.Repeat(" ", 31), terminal.Cut(r.Message, 100))
	}
	return p.err
}
