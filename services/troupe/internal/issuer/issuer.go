// Package issuer is the playground's own OpenID provider: it gives a token for any subject to whoever holds the
// playground's secret, so for whoever may read its directory, and lets whoever is at a browser of this machine sign in as
// one of its operators. It is for a playground on loopback, and for nothing else.
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

// Console is the subject as which the console asks query, and the client that people sign in to.
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

// provider answers discovery, the key set, the client credentials grant (RFC 6749, 4.4), in which the client is the
// subject, and those in which a person is: by a code (4.1), and of a device (RFC 8628).
type provider struct {
	op.UnimplementedServer
	url, secret string
	key         jose.JSONWebKey
	signer      jose.Signer
	signIns     signIns
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
	p := &provider{url: url, secret: secret, key: key, signer: signer, signIns: signIns{all: map[string]*waiting{}}}
	return op.RegisterServer(p, *op.DefaultEndpoints, op.WithServerCORSOptions(nil), op.WithSetRouter(p.routes)), nil
}

// Discovery answers /.well-known/openid-configuration.
func (p *provider) Discovery(context.Context, *op.Request[struct{}]) (*op.Response, error) {
	return op.NewResponse(&oidc.DiscoveryConfiguration{
		Issuer: p.url, JwksURI: op.DefaultEndpoints.JwksURI.Absolute(p.url), TokenEndpoint: TokenURL(p.url),
		AuthorizationEndpoint:         op.DefaultEndpoints.Authorization.Absolute(p.url),
		DeviceAuthorizationEndpoint:   op.DefaultEndpoints.DeviceAuthorization.Absolute(p.url),
		ResponseTypesSupported:        []string{string(oidc.ResponseTypeCode)},
		CodeChallengeMethodsSupported: []oidc.CodeChallengeMethod{oidc.CodeChallengeMethodS256},
		GrantTypesSupported: []oidc.GrantType{
			oidc.GrantTypeClientCredentials, oidc.GrantTypeCode, oidc.GrantTypeDeviceCode,
		},
		IDTokenSigningAlgValuesSupported: []string{string(jose.ES256)},
	}), nil
}

// Keys answers the key set.
func (p *provider) Keys(context.Context, *op.Request[struct{}]) (*op.Response, error) {
	return op.NewResponse(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{p.key.Public()}}), nil
}

// VerifyClient takes any subject that comes with the secret, and a terminal, which has none.
func (p *provider) VerifyClient(_ context.Context, r *op.Request[op.ClientCredentials]) (op.Client, error) {
	if r.Data.ClientID == CLI && r.Data.ClientSecret == "" {
		return client{id: CLI}, nil
	}
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
	return p.tokens(r.Client.GetID(), r.Client.GetID(), "")
}

// tokens are those of a subject for a client; with a nonce an id token too.
func (p *provider) tokens(subject, client, nonce string) (*op.Response, error) {
	now := time.Now()
	until := now.Add(lifetime)
	claims := oidc.NewAccessTokenClaims(p.url, subject, []string{Audience}, until, uuid.NewString(), client, 0)
	if roles := operators[subject]; roles != nil {
		claims.Claims = map[string]any{"roles": roles}
	}
	token, err := crypto.Sign(claims, p.signer)
	if err != nil {
		return nil, err
	}
	answer := &oidc.AccessTokenResponse{
		AccessToken: token, TokenType: oidc.BearerToken, ExpiresIn: uint64(lifetime.Seconds()),
	}
	if nonce != "" {
		id := oidc.NewIDTokenClaims(p.url, subject, nil, until, now, nonce, "", nil, client, 0)
		if id.AccessTokenHash, err = oidc.ClaimHash(token, jose.ES256); err == nil {
			answer.IDToken, err = crypto.Sign(id, p.signer)
		}
	}
	return op.NewResponse(answer), err
}

// TokenURL is where the issuer at a base URL gives tokens.
func TokenURL(url string) string { return op.DefaultEndpoints.Token.Absolute(url) }
