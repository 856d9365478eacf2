// Package issuer is the playground's own OpenID provider: it gives a token for any subject to whoever holds the
// playground's secret, so for whoever may read its directory. It is for a playground on loopback, and for nothing else.
package issuer

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/subtle"
	"net/http"
	"regexp"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"
	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/zitadel/oidc/v3/pkg/crypto"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// Audience of the tokens: the services' default.
const Audience = "troupe"

// Console is the subject as which the console asks query.
const Console = "console"

// lifetime of a token.
const lifetime = time.Hour

// operators are the subjects that have roles. All others are customers.
var operators = map[string][]auth.Role{
	"viewer":   {auth.Viewer},
	"operator": {auth.Operator},
	"breaker":  {auth.Breaker},
	"admin":    auth.Roles,
	Console:    {auth.Operator},
}

// subjects are those that a customer id can be.
var subjects = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// provider answers discovery, the key set and the client credentials grant (RFC 6749, 4.4). The client is the subject.
type provider struct {
	op.UnimplementedServer
	url, secret string
	key         jose.JSONWebKey
	signer      jose.Signer
}

// New returns an issuer at a base URL, with a key of its own that is forgotten with it.
func New(url, secret string) (http.Handler, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	key := jose.JSONWebKey{Key: private, KeyID: uuid.NewString(), Algorithm: string(jose.ES256), Use: "sig"}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key},
		(&jose.SignerOptions{}).WithType("at+jwt"))
	if err != nil {
		return nil, err
	}
	return op.RegisterServer(&provider{url: url, secret: secret, key: key, signer: signer}, *op.DefaultEndpoints,
		op.WithServerCORSOptions(nil)), nil
}

// Discovery answers /.well-known/openid-configuration.
func (p *provider) Discovery(context.Context, *op.Request[struct{}]) (*op.Response, error) {
	return op.NewResponse(&oidc.DiscoveryConfiguration{
		Issuer: p.url, JwksURI: op.DefaultEndpoints.JwksURI.Absolute(p.url), TokenEndpoint: TokenURL(p.url),
		GrantTypesSupported:              []oidc.GrantType{oidc.GrantTypeClientCredentials},
		IDTokenSigningAlgValuesSupported: []string{string(jose.ES256)},
	}), nil
}

// Keys answers the key set.
func (p *provider) Keys(context.Context, *op.Request[struct{}]) (*op.Response, error) {
	return op.NewResponse(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{p.key.Public()}}), nil
}

// VerifyClient takes any subject that comes with the secret.
func (p *provider) VerifyClient(_ context.Context, r *op.Request[op.ClientCredentials]) (op.Client, error) {
	known := subtle.ConstantTimeCompare([]byte(r.Data.ClientSecret), []byte(p.secret)) == 1
	if !known || !subjects.MatchString(r.Data.ClientID) {
		return nil, oidc.ErrInvalidClient()
	}
	return client{id: r.Data.ClientID}, nil
}

// ClientCredentialsExchange gives a token.
func (p *provider) ClientCredentialsExchange(
	_ context.Context, r *op.ClientRequest[oidc.ClientCredentialsRequest],
) (*op.Response, error) {
	subject := r.Client.GetID()
	until := time.Now().Add(lifetime)
	claims := oidc.NewAccessTokenClaims(p.url, subject, []string{Audience}, until, uuid.NewString(), subject, 0)
	if roles := operators[subject]; roles != nil {
		claims.Claims = map[string]any{"roles": roles}
	}
	token, err := crypto.Sign(claims, p.signer)
	if err != nil {
		return nil, err
	}
	return op.NewResponse(&oidc.AccessTokenResponse{
		AccessToken: token, TokenType: oidc.BearerToken, ExpiresIn: uint64(lifetime.Seconds()),
	}), nil
}

// TokenURL is where the issuer at a base URL gives tokens.
func TokenURL(url string) string { return op.DefaultEndpoints.Token.Absolute(url) }
