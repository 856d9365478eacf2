package cli

import (
	"errors"

	"github.com/spf13/cobra"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/services/troupe/internal/demo"
	"github.com/troupe-dev/troupe/services/troupe/internal/play"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

func demoCommand() *cobra.Command {
	var at play.Playground
	cmd := &cobra.Command{
		Use: "demo", Short: "Watch three orders: a good card, a declined card, one cancelled after payment", Args: cobra.NoArgs,
		Long: `Places three orders on a running troupe, tells each event as it really arrives, with the milliseconds since its cause, and
checks the read model, the gateway's ledger and the mailbox at the end. Exit code 1 when anything that should be true is not.

Without URLs it plays in the playground of TROUPE_DIR, and where none runs at the ports of the demo stack, which are the playground's.
With URLs it plays wherever they lead, and leaves out the ledger without --gateway-url (it is the simulator's own) and the mails without
--mailbox-url.`,
		Example: "  troupe demo --order-url http://order.example:8081 --query-url http://query.example:8084",
		RunE: func(cmd *cobra.Command, _ []string) error {
			at, err := stage(at)
			if err != nil {
				return err
			}
			orders := rest.New(at.Order, at.Query).As(tokens("c-1001", at.Order, at.Query))
			ok, err := demo.Demo{Orders: orders, Gateway: at.Gateway, Mailbox: at.Mailbox, Out: cmd.OutOrStdout()}.Run(cmd.Context())
			if err == nil && !ok {
				err = errors.New("something that should be true is not")
			}
			return err
		},
	}
	urlFlag(cmd, &at.Order, "order", "", "the order service")
	urlFlag(cmd, &at.Query, "query", "", "the query service")
	urlFlag(cmd, &at.Gateway, "gateway", "", "the gateway simulator")
	urlFlag(cmd, &at.Mailbox, "mailbox", "", "the playground's mailbox, or of a Mailpit")
	return cmd
}

// stage is where to play, as far as flags and variables say; where they say nothing, the playground.
func stage(said play.Playground) (play.Playground, error) {
	if said.Order+said.Query+said.Gateway+said.Mailbox == "" {
		return playground(), nil
	}
	if said.Order == "" || said.Query == "" {
		return said, usageError{fault.Field("--order-url, --query-url",
			"must both be set when any URL is: parts of two troupes would not agree")}
	}
	return said, nil
}
