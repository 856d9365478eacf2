package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/services/troupe/control"
	"github.com/troupe-dev/troupe/services/troupe/internal/demo"
	"github.com/troupe-dev/troupe/services/troupe/internal/play"
	"github.com/troupe-dev/troupe/services/troupe/internal/terminal"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

// errUntrue is a demo that did not end as it should; what was wrong is printed by then.
var errUntrue = errors.New("something that should be true is not")

func demoCommand() *cobra.Command {
	var own bool
	var s stage
	cmd := &cobra.Command{
		Use: "demo", Short: "Watch three orders: a good card, a declined card, one cancelled after payment", Args: none,
		Long: `Places three orders on a running troupe, tells each event as it really arrives, with the milliseconds since its cause, and
checks the read model, the gateway's ledger and the mailbox at the end. Exit code 1 when anything that should be true is not.

Without URLs it asks the playground's control API where its parts are; where there is none, it takes the ports of the demo stack, which
are the playground's. With URLs it plays wherever they lead, and leaves out the ledger without --gateway-url (it is the simulator's
own) and the mails without --mailbox-url.`,
		Example: "  troupe demo --order-url http://order.example:8081 --query-url http://query.example:8084",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if own {
				return demoOnItsOwn(cmd)
			}
			at, err := s.find(cmd.Context())
			if err != nil {
				return err
			}
			return perform(cmd.Context(), cmd.OutOrStdout(), at)
		},
	}
	cmd.Flags().BoolVar(&own, "play", false, "start a playground for it, on free ports and in a directory of its own, and stop it afterwards")
	urlFlag(cmd, &s.Control, "control", "",
		"the control API of the running playground, which says where everything is; otherwise it is asked at "+defaults.Control+", if anything is there")
	urlFlag(cmd, &s.Order, "order", "", "the order service")
	urlFlag(cmd, &s.Query, "query", "", "the query service")
	urlFlag(cmd, &s.Gateway, "gateway", "", "the gateway simulator")
	urlFlag(cmd, &s.Mailbox, "mailbox", "", "the playground's mailbox, or of a Mailpit")
	return cmd
}

// stage is where to play, as far as flags and variables say.
type stage play.Playground

// defaults are the ports of the playground and of the demo stack, which has no control API.
var defaults = play.Playground{
	Order: "http://127.0.0.1:8081", Query: "http://127.0.0.1:8084", Gateway: "http://127.0.0.1:8090", Mailbox: "http://127.0.0.1:8025",
	Control: "http://127.0.0.1:8089",
}

// find completes the stage. A control API that was named says where everything is.
func (s stage) find(ctx context.Context) (play.Playground, error) {
	switch {
	case s.Control != "":
		return locate(ctx, s.Control)
	case s.Order != "" && s.Query != "":
		return play.Playground(s), nil
	case s.Order+s.Query+s.Gateway+s.Mailbox != "":
		return play.Playground{}, usageError{fault.Field("--order-url, --query-url",
			"must both be set when any URL is: parts of two troupes would not agree")}
	}
	at, err := locate(ctx, defaults.Control)
	if fault.ClassOf(err) == fault.Unavailable && ctx.Err() == nil {
		return defaults, nil
	}
	return at, err
}

// locate asks a playground where its parts are.
func locate(ctx context.Context, controlURL string) (at play.Playground, err error) {
	list, err := control.NewClient(controlURL).Processes(ctx)
	if err != nil {
		return at, fmt.Errorf("find a playground at %s (troupe demo --play starts one of its own): %w", controlURL, err)
	}
	urls := map[string]string{}
	for _, p := range list {
		if p.Instance == 1 {
			urls[p.Service] = p.Addresses["http"]
		}
	}
	at = play.Playground{Order: urls["order"], Query: urls["query"], Gateway: urls["gateway"], Mailbox: urls["mailbox"]}
	if at.Order == "" || at.Query == "" || at.Gateway == "" || at.Mailbox == "" {
		return at, fault.New(fault.NotFound, "what answers at %s is not a whole playground", controlURL)
	}
	return at, nil
}

func perform(ctx context.Context, out io.Writer, at play.Playground) error {
	d := demo.Demo{
		Orders: rest.New(at.Order, at.Query).As(demoTokens(at)), Gateway: at.Gateway, Mailbox: at.Mailbox, Out: out, Style: terminal.StyleOf(out),
	}
	ok, err := d.Run(ctx)
	if err == nil && !ok {
		err = errUntrue
	}
	return err
}

// demoOnItsOwn starts a playground, performs there, and stops it. When the demo fails, the playground's files stay, and it says
// where.
func demoOnItsOwn(cmd *cobra.Command) (err error) {
	dir, err := os.MkdirTemp("", "troupe-demo-")
	if err != nil {
		return err
	}
	logs, err := os.Create(filepath.Join(dir, "play.log"))
	if err != nil {
		return err
	}
	defer func() {
		_ = logs.Close()
		if err == nil {
			err = os.RemoveAll(dir)
		} else {
			err = fmt.Errorf("%w (the playground's files and log are kept in %s)", err, dir)
		}
	}()
	ready := make(chan play.Playground, 1)
	o := play.Options{Dir: dir, PaymentDeadline: time.Minute, Out: logs, Ready: func(at play.Playground) { ready <- at }}
	if err := prepare(&o); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(cmd.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- play.Run(ctx, o) }() // received below in every case
	fmt.Fprintln(cmd.OutOrStdout(), "Starting a playground …")
	select {
	case at := <-ready:
		err = perform(ctx, cmd.OutOrStdout(), at)
	case err = <-ended:
		if err == nil {
			err = ctx.Err()
		}
		return err
	case <-time.After(time.Minute):
		err = fmt.Errorf("the playground is not ready after a minute: %w", context.DeadlineExceeded)
	}
	stop()
	return errors.Join(err, <-ended)
}
