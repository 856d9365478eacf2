package cli

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/services/troupe/internal/play"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

// playDir is where a playground is looked for.
func playDir() string { return variable("TROUPE_DIR", ".play") }

// tokens are those that a command shows to the services at some base URLs: TROUPE_TOKEN where it is set, and otherwise
// those of a subject in the playground of TROUPE_DIR, if all of these are its services. Nil: none.
func tokens(subject string, urls ...string) rest.Tokens {
	if token := os.Getenv("TROUPE_TOKEN"); token != "" {
		return func(string) (string, error) { return token, nil }
	}
	at, err := play.Find(playDir())
	if err != nil {
		return nil
	}
	for _, url := range urls {
		// A token is shown to nobody but the services of its playground.
		if !slices.Contains([]string{at.Order, at.Query, at.Console}, strings.TrimRight(url, "/")) {
			return nil
		}
	}
	return at.Tokens(subject)
}

// demoTokens are those of the demo's customer.
func demoTokens(at play.Playground) rest.Tokens {
	const customer = "c-1001"
	if at.Dir != "" { // a playground of the demo's own
		return at.Tokens(customer)
	}
	return tokens(customer, at.Order, at.Query)
}

func tokenCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "token SUBJECT",
		Short:   "Print a token of the playground for a customer, or for viewer, operator, breaker or admin",
		Example: "  export TROUPE_TOKEN=$(troupe token c-1001)",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{fmt.Errorf("needs one subject, got %d arguments", len(args))}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			at, err := play.Find(playDir())
			if err != nil {
				return err
			}
			of := at.Tokens(args[0])
			if of == nil {
				return fault.New(fault.NotFound, "the playground in %s takes no tokens: it runs with --auth off", playDir())
			}
			token, err := of("")
			if err == nil {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), token)
			}
			return err
		},
	}
}
