package issuer

import (
	"context"

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

// client is a subject as the library asks for it: it shows a secret, and uses no other grant. What else a client may be,
// the library asks for other grants only.
type client struct {
	op.Client
	id string
}

func (c client) GetID() string              { return c.id }
func (client) AuthMethod() oidc.AuthMethod  { return oidc.AuthMethodBasic }
func (client) GrantTypes() []oidc.GrantType { return []oidc.GrantType{oidc.GrantTypeClientCredentials} }
