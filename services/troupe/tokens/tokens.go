// Package tokens gives tokens of a playground's issuer, to which every subject is a client, and all have one secret.
package tokens

import (
	"cmp"
	"os"
	"strings"
	"sync"

	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/troupe-dev/troupe/pkg/config"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/services/troupe/rest"
	"golang.org/x/oauth2"
)

// Of gives the tokens of an issuer, each until it expires. The secret is in a file; otherwise is the subject where none is
// named.
func Of(issuer, secretFile, otherwise string) rest.Tokens {
	var mu sync.Mutex
	sources := map[string]oauth2.TokenSource{}
	source := func(subject string) (oauth2.TokenSource, error) {
		mu.Lock()
		defer mu.Unlock()
		if s := sources[subject]; s != nil {
			return s, nil
		}
		secret, err := os.ReadFile(secretFile)
		if err != nil {
			return nil, err
		}
		client := auth.Credentials{ClientID: subject, Secret: config.NewSecret(strings.TrimSpace(string(secret)))}
		sources[subject] = client.Source(issuer)
		return sources[subject], nil
	}
	return func(subject string) (string, error) {
		s, err := source(cmp.Or(subject, otherwise))
		if err != nil {
			return "", err
		}
		token, err := s.Token()
		if err != nil {
			return "", fault.New(fault.Unavailable, "the playground's issuer: %w", err)
		}
		return token.AccessToken, nil
	}
}
