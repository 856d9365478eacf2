// Package authtest is an issuer of tokens for tests, good ones and every bad one, and a walk of a router with all of
// them.
package authtest

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/troupe-dev/troupe/pkg/auth"
)

const (
	// Audience of the tokens.
	Audience = "troupe"
	// Secret of every client.
	Secret = "clients-secret"
)

// Issuer is an OpenID provider as far as a service sees one: discovery, keys, and tokens of its own.
type Issuer struct {
	URL string
	t   testing.TB

	mu   sync.Mutex
	key  jose.JSONWebKey
	keys []jose.JSONWebKey // that are published
	away bool
	read int // times that the keys were read
	// given are the tokens that clients got.
	given int
	// person is who is at the browser, codes what was given them, refresh the refresh token that is good now.
	person  Claims
	codes   map[string]url.Values
	refresh string
	// Spoil changes the claims of the tokens of a sign-in; nil: they are good.
	Spoil func(access, id Claims)
}

// NewIssuer starts an issuer with one key; it ends with the test.
func NewIssuer(t testing.TB) *Issuer {
	i := &Issuer{t: t, codes: map[string]url.Values{}, refresh: rand.Text()}
	i.Rotate("one")
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", i.answer(func() any {
		return map[string]any{
			"issuer": i.URL, "jwks_uri": i.URL + "/keys", "token_endpoint": i.URL + "/token",
			"authorization_endpoint": i.URL + "/authorize", "end_session_endpoint": i.URL + "/out",
		}
	}))
	mux.HandleFunc("/keys", i.answer(func() any {
		i.read++
		return jose.JSONWebKeySet{Keys: i.keys}
	}))
	mux.HandleFunc("POST /token", i.give)
	mux.HandleFunc("GET /authorize", i.authorize)
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	i.URL = srv.URL
	return i
}

func (i *Issuer) answer(document func() any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		i.mu.Lock()
		defer i.mu.Unlock()
		if i.away {
			http.Error(w, "away", http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(document()) // a caller that hung up
	}
}

// Given is how many tokens clients got.
func (i *Issuer) Given() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.given
}

// Rotate publishes a further key, with which tokens are signed from now on.
func (i *Issuer) Rotate(id string) {
	key := i.newKey(id)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.key = key
	i.keys = append(i.keys, jose.JSONWebKey{Key: key.Public().Key, KeyID: id, Algorithm: key.Algorithm, Use: "sig"})
}

// Withdraw takes a key out of what is published.
func (i *Issuer) Withdraw(id string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = slices.DeleteFunc(i.keys, func(k jose.JSONWebKey) bool { return k.KeyID == id })
}

func (i *Issuer) newKey(id string) jose.JSONWebKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		i.t.Fatal(err)
	}
	return jose.JSONWebKey{Key: key, KeyID: id, Algorithm: string(jose.RS256)}
}

// Away says whether the issuer answers nobody.
func (i *Issuer) Away(away bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.away = away
}

func (i *Issuer) isAway() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.away
}

// KeysRead is how many times the keys were read.
func (i *Issuer) KeysRead() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.read
}

// Config takes this issuer's tokens, without limits.
func (i *Issuer) Config() auth.Config {
	return auth.Config{Issuer: i.URL, Audience: Audience, RolesClaim: "roles"}
}

// Guard returns a running guard of a config that has found its issuer.
func Guard(t testing.TB, cfg auth.Config) *auth.Guard {
	t.Helper()
	g := auth.New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	for limit := time.Now().Add(20 * time.Second); g.Ready() != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal(g.Ready())
		}
	}
	return g
}

// Claims of a good token.
type Claims map[string]any

// Claims returns those of a subject with roles.
func (i *Issuer) Claims(subject string, roles ...auth.Role) Claims {
	now := time.Now()
	return Claims{
		"iss": i.URL, "sub": subject, "aud": []string{Audience}, "roles": roles,
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
}

// But returns the claims with one in place of its own; nil takes it away.
func (c Claims) But(name string, value any) Claims {
	c = maps.Clone(c)
	if c[name] = value; value == nil {
		delete(c, name)
	}
	return c
}

// Token is a good token of a subject with roles.
func (i *Issuer) Token(subject string, roles ...auth.Role) string {
	return i.Sign(i.Claims(subject, roles...))
}

// Sign signs claims with the newest key.
func (i *Issuer) Sign(c Claims) string {
	i.mu.Lock()
	key := i.key
	i.mu.Unlock()
	return i.sign(jose.SigningKey{Algorithm: jose.RS256, Key: key}, c)
}

func (i *Issuer) sign(key jose.SigningKey, c Claims) string {
	i.t.Helper()
	signer, err := jose.NewSigner(key, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		i.t.Fatal(err)
	}
	payload, err := json.Marshal(c)
	if err != nil {
		i.t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		i.t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		i.t.Fatal(err)
	}
	return token
}

// Bad returns tokens of a subject that must not be taken, by what is wrong with them.
func (i *Issuer) Bad(subject string, roles ...auth.Role) map[string]string {
	good := i.Claims(subject, roles...)
	i.mu.Lock()
	key := i.key
	i.mu.Unlock()
	of := func(j jose.JSONWebKey) jose.SigningKey { return jose.SigningKey{Algorithm: jose.RS256, Key: j} }
	public, err := x509.MarshalPKIXPublicKey(key.Public().Key)
	if err != nil {
		i.t.Fatal(err)
	}
	secret := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	payload, err := json.Marshal(good)
	if err != nil {
		i.t.Fatal(err)
	}
	part := base64.RawURLEncoding.EncodeToString
	hmac := jose.SigningKey{Algorithm: jose.HS256, Key: jose.JSONWebKey{Key: secret, KeyID: key.KeyID}}
	return map[string]string{
		"expired":           i.Sign(good.But("exp", time.Now().Add(-time.Second).Unix())),
		"not yet valid":     i.Sign(good.But("nbf", time.Now().Add(time.Hour).Unix())),
		"wrong issuer":      i.Sign(good.But("iss", "https://other.example")),
		"wrong audience":    i.Sign(good.But("aud", "another")),
		"no audience":       i.Sign(good.But("aud", nil)),
		"no expiry":         i.Sign(good.But("exp", nil)),
		"no subject":        i.Sign(good.But("sub", nil)),
		"alg none":          part([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + part(payload) + ".",
		"HS256, public key": i.sign(hmac, good),
		"RS384, its key":    i.sign(jose.SigningKey{Algorithm: jose.RS384, Key: key}, good),
		"unknown key id":    i.sign(of(i.newKey("unknown")), good),
		"another's key":     i.sign(of(i.newKey(key.KeyID)), good),
		"no token at all":   "ada",
	}
}
