// Package cli is the troupe command: the playground, its parts, and orders by hand.
package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/lifecycle"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/services/troupe/internal/supervise"
	"github.com/troupe-dev/troupe/services/troupe/internal/terminal"
)

// Exit codes.
const (
	exitOK       = 0
	exitFailed   = 1
	exitUsage    = 2
	exitTimeout  = 3
	exitParked   = 4
	exitNotThere = 5
)

// usageError is a mistake in the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// Main runs the command line args (without the program's name) and returns the exit code.
func Main(args []string) int {
	if err := supervise.FollowParent(); err != nil {
		fmt.Fprintln(os.Stderr, "troupe:", err)
		return exitFailed
	}
	if code, ok := runPart(args); ok {
		return code
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	// A later signal ends the process at once. Make and the terminal often send the same one twice in a moment: that counts once.
	context.AfterFunc(ctx, func() { time.AfterFunc(time.Second, stop) })
	return execute(ctx, args, os.Stdin, os.Stdout, os.Stderr)
}

func execute(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) int {
	root := command()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errs)
	began := false // what is wrong before that is the command line
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		err := cmp.Or(cmd.ValidateRequiredFlags(), cmd.ValidateFlagGroups())
		began = err == nil
		return err
	}
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	explain(errs, err)
	var usage usageError
	switch {
	case !began, errors.As(err, &usage):
		fmt.Fprintf(errs, "Usage: %s\nSee %s --help.\n", cmd.UseLine(), cmd.CommandPath())
		return exitUsage
	case errors.Is(err, errStillParked):
		return exitParked
	case errors.Is(err, errNotDone), errors.Is(err, context.DeadlineExceeded):
		return exitTimeout
	case fault.ClassOf(err) == fault.NotFound:
		return exitNotThere
	}
	return exitFailed
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:   "troupe",
		Short: "Play a whole troupe of event-driven services on this machine, and place orders with it",
		Long: `Troupe performs orders by choreography over Kafka: nobody conducts.

  troupe play     start everything here, nothing installed
  troupe demo     watch three orders
  troupe place    place one yourself; then show, follow, cancel, list
  troupe dead-letters   what is stuck, why, and the ways to bring it back
  troupe events   the records of any Kafka, decoded

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 took too long, 4 still parked (dead-letters), 5 not there.`,
		SilenceUsage: true, SilenceErrors: true, Version: lifecycle.Version(),
	}
	root.AddCommand(playCommand(), demoCommand(), placeCommand(), cancelCommand(), showCommand(), followCommand(), listCommand(),
		eventsCommand(), deadLettersCommand(), rebuildCommand(), loginCommand(), logoutCommand(), tokenCommand(),
		partCommand("gateway", "Run the payment gateway simulator alone"),
		partCommand("grant", "Make the services' users at Kafka, and allow each what choreography.yaml has it do"),
		partCommand("provision", "Create the topics at Kafka"))
	root.CompletionOptions.HiddenDefaultCmd = true
	return root
}

// explain prints an error for people: a problem document with its fields, anything else as it is.
func explain(w io.Writer, err error) {
	var p *problem.Problem
	if !errors.As(err, &p) {
		fmt.Fprintln(w, "troupe:", err)
		if fault.ClassOf(err) == fault.Unavailable {
			fmt.Fprintln(w, "Is the playground running? Start it with: troupe play")
		}
		return
	}
	fmt.Fprintf(w, "troupe: %s (%d)\n", terminal.Clean(p.Title), p.Status)
	for line := range strings.SplitSeq(p.Error(), "\n") {
		fmt.Fprintf(w, "  %s\n", terminal.Clean(strings.TrimSpace(line)))
	}
	if p.RetryAfter > 0 {
		fmt.Fprintf(w, "  Try again in %s; that is safe.\n", p.RetryAfter)
	}
	if p.Status == http.StatusUnauthorized {
		fmt.Fprintf(w, "  Sign in by troupe login, or set TROUPE_TOKEN. That of a playground is found in its directory, by TROUPE_DIR (%s).\n", playDir())
	}
	if p.TraceID != "" {
		fmt.Fprintln(w, "  trace "+terminal.Clean(p.TraceID))
	}
}
