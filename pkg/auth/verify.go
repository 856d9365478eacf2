package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/troupe-dev/troupe/pkg/wait"
	"golang.org/x/oauth2"
	"golang.org/x/time/rate"
)

const (
	// askWithin bounds one request to the issuer.
	askWithin = 5 * time.Second
	// discoverEvery is the pause between attempts to find an issuer that does not answer.
	discoverEvery = time.Second
	// keysEvery is the time after which a key that the issuer has withdrawn is not taken any more.
	keysEvery = 5 * time.Minute
	// maxAnswer bounds the bytes of a discovery, and of the keys.
	maxAnswer = 1 << 20
)

// nobodys is signed by no key: since its key id is unknown, the keys are read again.
const nobodys = "eyJhbGciOiJSUzI1NiIsImtpZCI6Ii0ifQ.e30.AA" // {"alg":"RS256","kid":"-"} {}

// algorithms are the asymmetric ones that are taken, whatever a token or the issuer's discovery says: with an HMAC, the
// public key would sign (RFC 8725, 2.1).
var algorithms = []string{oidc.RS256, oidc.ES256, oidc.EdDSA}

// errIssuerAway says that a token could not be judged: the keys that it needs are not here.
var errIssuerAway = errors.New("the issuer's keys cannot be read now")

// verifier judges tokens of one issuer.
type verifier struct {
	cfg   Config
	http  *http.Client
	found atomic.Pointer[provider] // nil until the issuer was found
}

// provider is what discovery says of the issuer.
type provider struct {
	keys       *oidc.RemoteKeySet
	endpoint   oauth2.Endpoint
	endSession string // empty: it offers none
}

func newVerifier(cfg Config) *verifier {
	// A key id that nobody knows makes the keys be read again, and anybody can make one up.
	return &verifier{cfg: cfg, http: &http.Client{
		Timeout: askWithin, Transport: &sparing{RoundTripper: http.DefaultTransport, limit: rate.NewLimiter(1, 10)},
	}}
}

// discover asks until the issuer says where its keys are, or ctx ends.
func (v *verifier) discover(ctx context.Context) {
	within := oidc.ClientContext(ctx, v.http)
	for {
		is, err := oidc.NewProvider(within, v.cfg.Issuer)
		var at struct {
			Keys       string   `json:"jwks_uri"`
			EndSession string   `json:"end_session_endpoint"`
			Methods    []string `json:"token_endpoint_auth_methods_supported"`
		}
		if err == nil {
			err = is.Claims(&at)
		}
		if err == nil && at.Keys == "" {
			err = errors.New("the discovery names no jwks_uri")
		}
		if err == nil {
			found := &provider{oidc.NewRemoteKeySet(within, at.Keys), is.Endpoint(), at.EndSession}
			// Trying both would spend the code of a sign-in, and hide the first answer behind the second.
			found.endpoint.AuthStyle = oauth2.AuthStyleInHeader
			if at.Methods != nil && !slices.Contains(at.Methods, "client_secret_basic") {
				found.endpoint.AuthStyle = oauth2.AuthStyleInParams
			}
			v.found.Store(found)
			return
		}
		slog.WarnContext(ctx, "the issuer cannot be discovered", "error", err)
		if wait.Sleep(ctx, discoverEvery) != nil {
			return
		}
	}
}

// follow reads the keys again and again until ctx ends: as long as known keys do, nobody else asks for them. Where they
// cannot be read, those of before stay.
func (v *verifier) follow(ctx context.Context) {
	for wait.Sleep(ctx, keysEvery) == nil {
		_, _ = v.found.Load().keys.VerifySignature(ctx, nobodys) // never good
	}
}

// caller returns whose a token is. The error is errIssuerAway when that cannot be known, and otherwise what is wrong
// with the token.
func (v *verifier) caller(ctx context.Context, raw string) (Caller, error) {
	at := v.found.Load()
	if at == nil {
		return Caller{}, errIssuerAway
	}
	keys := &keySet{RemoteKeySet: at.keys}
	token, err := oidc.NewVerifier(v.cfg.Issuer, keys, &oidc.Config{
		ClientID: v.cfg.Audience, SupportedSigningAlgs: algorithms,
	}).Verify(ctx, raw)
	switch {
	case keys.away != nil:
		return Caller{}, fmt.Errorf("%w: %w", errIssuerAway, keys.away)
	case err != nil:
		return Caller{}, err
	case token.Subject == "":
		return Caller{}, errors.New("the token names no subject")
	}
	var claims map[string]json.RawMessage
	if err := token.Claims(&claims); err != nil {
		return Caller{}, err
	}
	return Caller{Subject: token.Subject, Expires: token.Expiry, roles: roles(claims, v.cfg.RolesClaim)}, nil
}

// keySet tells keys that could not be read from a signature that is wrong: the verifier's error says it in words only.
type keySet struct {
	*oidc.RemoteKeySet
	away error
}

func (k *keySet) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	payload, err := k.RemoteKeySet.VerifySignature(ctx, jwt)
	if err != nil && !errors.Is(err, errJustRead) && strings.HasPrefix(err.Error(), "fetching keys") {
		k.away = err
	}
	return payload, err
}

// roles reads the claim of a name, which may be a URL, or else at a path of names between dots; names that are no roles
// of ours are left out.
func roles(claims map[string]json.RawMessage, path string) []Role {
	if name, rest, nested := strings.Cut(path, "."); nested && claims[path] == nil {
		var inner map[string]json.RawMessage
		if json.Unmarshal(claims[name], &inner) != nil {
			return nil
		}
		return roles(inner, rest)
	}
	var list []Role
	if json.Unmarshal(claims[path], &list) != nil {
		var text string
		_ = json.Unmarshal(claims[path], &text) // neither: no roles
		for word := range strings.FieldsSeq(text) {
			list = append(list, Role(word))
		}
	}
	return slices.DeleteFunc(list, func(r Role) bool { return !slices.Contains(Roles, r) })
}

// errJustRead says that the keys were read a moment ago, and what was looked for was not among them.
var errJustRead = errors.New("the issuer was asked a moment ago")

// sparing keeps requests to the issuer to a rate, and its answers to a size. A request beyond the rate fails: by
// errJustRead if the one before went well.
type sparing struct {
	http.RoundTripper
	limit *rate.Limiter
	well  atomic.Bool
}

func (s *sparing) RoundTrip(r *http.Request) (*http.Response, error) {
	if !s.limit.Allow() {
		if s.well.Load() {
			return nil, errJustRead
		}
		return nil, errors.New("the issuer did not answer a moment ago")
	}
	resp, err := s.RoundTripper.RoundTrip(r)
	s.well.Store(err == nil && resp.StatusCode == http.StatusOK)
	if err == nil {
		resp.Body = http.MaxBytesReader(nil, resp.Body, maxAnswer)
	}
	return resp, err
}
