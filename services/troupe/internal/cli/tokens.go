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

// playground is that of TROUPE_DIR; where none runs, the ports that a playground has, and the demo stack.
func playground() play.Playground {
	if at, err := play.Find(playDir()); err == nil {
		return at
	}
	return play.Playground{
		Order: "http://127.0.0.1:8081", Query: "http://127.0.0.1:8084", Console: "http://127.0.0.1:8080",
		Gateway: "http://127.0.0.1:8090", Mailbox: "http://127.0.0.1:8025",
	}
}

// admin is the subject as which operators' commands act in a playground.
const admin = "admin"

// tokens are those that a command shows to the services at some base URLs: TROUPE_TOKEN where it is set, then that of
// troupe login, and those of a subject in the playground of TROUPE_DIR if all of these are its services. There, nobody
// signs in as a customer. Nil: none.
func tokens(subject string, urls ...string) rest.Tokens {
	if token := os.Getenv("TROUPE_TOKEN"); token != "" {
		return func(string) (string, error) { return token, nil }
	}
	at, err := play.Find(playDir())
	// A token is shown to nobody but the services of its playground.
	foreign := func(url string) bool {
		return !slices.Contains([]string{at.Order, at.Query, at.Console}, strings.TrimRight(url, "/"))
	}
	ofPlayground := err == nil && !slices.ContainsFunc(urls, foreign)
	issuer := ""
	if ofPlayground {
		if at.Issuer == "" {
			return nil
		}
		issuer = at.Issuer
	}
	if of := kept(issuer, urls); of != nil && (!ofPlayground || subject == admin) {
		return of
	}
	if ofPlayground {
		return at.Tokens(subject)
	}
	return nil
}

func tokenCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "token SUBJECT",
		Short:   "Print a token of the playground for a customer, or for viewer, operator, breaker or admin",
		Example: "  export TROUPE_TOKEN=$(troupe token c-1001)",
		Args:    cobra.ExactArgs(1),
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
