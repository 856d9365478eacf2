package cli

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/services/troupe/internal/issuer"
	"github.com/troupe-dev/troupe/services/troupe/internal/login"
	"github.com/troupe-dev/troupe/services/troupe/internal/play"
	"github.com/troupe-dev/troupe/services/troupe/rest"
	"golang.org/x/oauth2"
)

func loginCommand() *cobra.Command {
	var a login.Ask
	cmd := &cobra.Command{
		Use:   "login",
		Short: "Sign in at the issuer, by a page in any browser; the other commands act as whoever did",
		Long: `Asks the issuer for a token (device authorization grant), prints the address of the page where to sign in, and keeps the token in the
user's configuration folder, readable by its owner alone. The other commands use it where TROUPE_TOKEN is not set, at https and on loopback only.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if a.Issuer == "" {
				at, err := play.Find(playDir())
				if a.Issuer = at.Issuer; err != nil || a.Issuer == "" {
					return usageError{fault.Field("--issuer", "must be set: no playground that has one runs in %s", playDir())}
				}
			}
			out := cmd.OutOrStdout()
			l, err := login.Begin(cmd.Context(), a, func(d *oauth2.DeviceAuthResponse) {
				at := cmp.Or(d.VerificationURIComplete, d.VerificationURI)
				_, _ = fmt.Fprintf(out, "Open %s\nand sign in there, if it shows the code %s.\n", at, d.UserCode)
			})
			if err == nil {
				err = l.Keep()
			}
			if err == nil {
				_, err = fmt.Fprintf(out, "Signed in at %s.\n", l.Issuer)
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&a.Issuer, "issuer", os.Getenv("TROUPE_ISSUER"), "URL of the issuer; that of the playground otherwise [TROUPE_ISSUER]")
	f.StringVar(&a.ClientID, "client-id", variable("TROUPE_CLIENT_ID", issuer.CLI), "what this program is called there: a client without a secret [TROUPE_CLIENT_ID]")
	f.StringVar(&a.Audience, "audience", issuer.Audience, "whom the token is for: the services' AUTH_AUDIENCE")
	f.StringSliceVar(&a.Scopes, "scopes", []string{"openid"}, "scopes to ask for; with offline_access many issuers give a token that lasts")
	return cmd
}

func logoutCommand() *cobra.Command {
	return &cobra.Command{
		Use: "logout", Short: "Forget the token of troupe login", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			had, err := login.Forget()
			said := "Nobody was signed in."
			if had {
				said = "Signed out."
			}
			if err == nil {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), said)
			}
			return err
		},
	}
}

// kept are the tokens of troupe login, for services that are the playground's if its issuer is given. Nil: there are
// none for them.
func kept(playground string, urls []string) rest.Tokens {
	l, ok, err := login.Kept()
	if err != nil {
		return func(string) (string, error) { return "", err }
	}
	unsafe := func(url string) bool { return !login.Safe(url) }
	if !ok || playground != "" && strings.TrimRight(l.Issuer, "/") != playground || slices.ContainsFunc(urls, unsafe) {
		return nil
	}
	return func(string) (string, error) { return l.AccessToken() }
}
