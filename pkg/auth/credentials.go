package auth

import (
	"context"
	"net/http"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/troupe-dev/troupe/pkg/config"
	"github.com/troupe-dev/troupe/pkg/fault"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// Credentials are what a service shows to the issuer for a token of its own, with which it asks another service:
// the client credentials grant (RFC 6749, 4.4).
type Credentials struct {
	ClientID string        `env:"AUTH_CLIENT_ID" help:"what the service calls itself at AUTH_ISSUER, which gives it the token with which it asks other services"`
	Secret   config.Secret `env:"AUTH_CLIENT_SECRET" help:"secret of AUTH_CLIENT_ID; read again for each token"`
}

// Transport returns base with a token of an issuer in each request, and base itself where there is no issuer.
func (c Credentials) Transport(issuer string, base http.RoundTripper) http.RoundTripper {
	if issuer == "" {
		return base
	}
	// Only its RoundTrip is shown: a client with a time limit calls what else it has, which logs that it does nothing.
	return struct{ http.RoundTripper }{&oauth2.Transport{Base: base, Source: c.Source(issuer)}}
}

// Source gives the tokens of an issuer, each until it expires.
func (c Credentials) Source(issuer string) oauth2.TokenSource {
	return oauth2.ReuseTokenSource(nil, &source{Credentials: c, issuer: issuer})
}

const (
	// askAgain is how long the issuer is not asked again with a secret that it gave no token for.
	askAgain = 2 * time.Second
	// unsaidLife is how long a token is used whose life the issuer does not say.
	unsaidLife = time.Minute
)

// source asks the issuer for each token. ReuseTokenSource lets one request at a time ask: the others wait for it, and
// share its error.
type source struct {
	Credentials
	issuer string

	failed time.Time
	with   string // the secret
	err    error
}

// Token implements oauth2.TokenSource.
func (s *source) Token() (*oauth2.Token, error) {
	secret, err := s.Secret.Read()
	if err != nil {
		return nil, err
	}
	if s.err != nil && secret == s.with && time.Since(s.failed) < askAgain {
		return nil, s.err
	}
	token, err := s.ask(secret)
	s.failed, s.with, s.err = time.Now(), secret, err
	if err == nil && token.Expiry.IsZero() {
		token.Expiry = time.Now().Add(unsaidLife)
	}
	return token, err
}

func (s *source) ask(secret string) (*oauth2.Token, error) {
	ctx, cancel := context.WithTimeout(context.Background(), askWithin)
	defer cancel()
	provider, err := oidc.NewProvider(ctx, s.issuer)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "the issuer cannot be discovered: %w", err)
	}
	token, err := (&clientcredentials.Config{
		ClientID: s.ClientID, ClientSecret: secret, TokenURL: provider.Endpoint().TokenURL,
	}).Token(ctx)
	return token, fault.As(fault.Unavailable, err)
}
