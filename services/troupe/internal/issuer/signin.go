package issuer

import (
	"context"
	"crypto/rand"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

const (
	// waitsFor is how long a sign-in waits for its person, and its code for the client.
	waitsFor = 10 * time.Minute
	// maxWaiting bounds the sign-ins that wait.
	maxWaiting = 1000
	// pollEvery is how often a device may ask, in seconds.
	pollEvery = 1
)

// waiting is a sign-in that waits for its person or, as soon as there is one, for its client.
type waiting struct {
	ask    *oidc.AuthRequest // nil: a device's
	device string            // code with which a device asks
	client string
	as     string // subject; empty: nobody has chosen
	until  time.Time
}

// signIns that wait: by a name that the page bears, and by the code that the client gets.
type signIns struct {
	mu  sync.Mutex
	all map[string]*waiting
}

// put keeps a sign-in under a name that nobody can guess, or a code that a person can type.
func (s *signIns) put(name string, w *waiting) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, w := range s.all {
		if time.Now().After(w.until) {
			delete(s.all, name)
		}
	}
	if len(s.all) >= maxWaiting {
		return oidc.ErrServerError().WithDescription("too many sign-ins wait")
	}
	w.until = time.Now().Add(waitsFor)
	s.all[name] = w
	return nil
}

// get returns a copy, or nil; take takes it away too.
func (s *signIns) get(name string, take bool) *waiting {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.all[name]
	if w == nil || time.Now().After(w.until) {
		return nil
	}
	if take {
		delete(s.all, name)
	}
	found := *w
	return &found
}

// open returns the sign-in that waits for its person under a name, or nil.
func (s *signIns) open(name string) *waiting {
	if w := s.get(name, false); w != nil && w.as == "" && w.device != name {
		return w
	}
	return nil
}

// choose says who signs in, and returns the sign-in and its code. Nil: there is none.
func (s *signIns) choose(name, as string) (w *waiting, code string) {
	if w = s.open(name); w == nil || s.get(name, true) == nil {
		return nil, ""
	}
	w.as = as
	if code = w.device; code == "" {
		code = rand.Text()
	}
	if s.put(code, w) != nil {
		return nil, ""
	}
	return w, code
}

// VerifyAuthRequest takes the console's.
func (p *provider) VerifyAuthRequest(
	_ context.Context, r *op.Request[oidc.AuthRequest],
) (*op.ClientRequest[oidc.AuthRequest], error) {
	if r.Data.ClientID != Console {
		return nil, oidc.ErrInvalidClient()
	}
	return &op.ClientRequest[oidc.AuthRequest]{Request: r, Client: client{id: Console}}, nil
}

// Authorize asks at the page who it is.
func (p *provider) Authorize(_ context.Context, r *op.ClientRequest[oidc.AuthRequest]) (*op.Redirect, error) {
	if r.Data.CodeChallengeMethod != oidc.CodeChallengeMethodS256 || r.Data.CodeChallenge == "" {
		return nil, oidc.ErrInvalidRequest().WithDescription("needs PKCE with S256")
	}
	name := rand.Text()
	if err := p.signIns.put(name, &waiting{ask: r.Data, client: Console}); err != nil {
		return nil, err
	}
	return op.NewRedirect(p.chooseURL(name)), nil
}

// CodeExchange gives the tokens of whoever was chosen.
func (p *provider) CodeExchange(
	_ context.Context, r *op.ClientRequest[oidc.AccessTokenRequest],
) (*op.Response, error) {
	w := p.signIns.get(r.Data.Code, true)
	if w == nil || w.ask == nil || w.as == "" || w.client != r.Client.GetID() || w.ask.RedirectURI != r.Data.RedirectURI {
		return nil, oidc.ErrInvalidGrant()
	}
	challenge := oidc.CodeChallenge{Challenge: w.ask.CodeChallenge, Method: w.ask.CodeChallengeMethod}
	if err := op.AuthorizeCodeChallenge(r.Data.CodeVerifier, &challenge); err != nil {
		return nil, err
	}
	return p.tokens(w.as, w.client, w.ask.Nonce)
}

// DeviceAuthorization begins the sign-in of a terminal (RFC 8628).
func (p *provider) DeviceAuthorization(
	_ context.Context, r *op.ClientRequest[oidc.DeviceAuthorizationRequest],
) (*op.Response, error) {
	user, err := op.NewUserCode([]rune(op.CharSetBase20), 8, 4)
	if err != nil {
		return nil, err
	}
	w := &waiting{device: rand.Text(), client: r.Client.GetID()}
	if err := p.signIns.put(user, w); err != nil {
		return nil, err
	}
	if err := p.signIns.put(w.device, &waiting{device: w.device, client: w.client}); err != nil {
		return nil, err
	}
	return op.NewResponse(&oidc.DeviceAuthorizationResponse{
		DeviceCode: w.device, UserCode: user, VerificationURI: p.url + choosePath, VerificationURIComplete: p.chooseURL(user),
		ExpiresIn: int(waitsFor.Seconds()), Interval: pollEvery,
	}), nil
}

// DeviceToken gives the token of whoever was chosen, once somebody was.
func (p *provider) DeviceToken(
	_ context.Context, r *op.ClientRequest[oidc.DeviceAccessTokenRequest],
) (*op.Response, error) {
	w := p.signIns.get(r.Data.DeviceCode, false)
	switch {
	case w == nil || w.device == "" || w.client != r.Client.GetID():
		return nil, oidc.ErrExpiredDeviceCode()
	case w.as == "":
		return nil, oidc.ErrAuthorizationPending()
	}
	p.signIns.get(r.Data.DeviceCode, true)
	return p.tokens(w.as, w.client, "")
}

// chooseURL is the page of a sign-in.
func (p *provider) chooseURL(name string) string {
	return p.url + choosePath + "?" + url.Values{"request": {name}}.Encode()
}

// back is where a browser goes on that has chosen.
func (w *waiting) back(code string) string {
	return w.ask.RedirectURI + "?" + url.Values{"code": {code}, "state": {w.ask.State}}.Encode()
}

// person says whether a subject can be chosen.
func person(as string) bool {
	return slices.ContainsFunc(people, func(p somebody) bool { return p.Name == as })
}
