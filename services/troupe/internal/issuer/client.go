package issuer

import (
	"context"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// Tokens gives the tokens of a subject, each until it expires.
func Tokens(ctx context.Context, url, secret, subject string) oauth2.TokenSource {
	c := clientcredentials.Config{ClientID: subject, ClientSecret: secret, TokenURL: TokenURL(url)}
	return c.TokenSource(ctx)
}

// client is a subject as the library wants to see it: it may use its secret, and nothing else.
type client struct {
	op.Client
	id string
}

func (c client) GetID() string                     { return c.id }
func (client) AuthMethod() oidc.AuthMethod         { return oidc.AuthMethodBasic }
func (client) GrantTypes() []oidc.GrantType        { return []oidc.GrantType{oidc.GrantTypeClientCredentials} }
func (client) ClockSkew() time.Duration            { return 0 }
func (client) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeJWT }
