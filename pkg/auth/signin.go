package auth

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-chi/chi/v5"
	"github.com/troupe-dev/troupe/pkg/config"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/problem"
	"golang.org/x/oauth2"
)

const (
	// SignInPath begins a sign-in, and comes back to the page in its parameter to.
	SignInPath = "/sign-in"
	// CallbackPath is where the issuer sends people back to.
	CallbackPath = "/sign-in/callback"
	// SignOutPath ends a session.
	SignOutPath = "/sign-out"

	// attemptCookie holds what a sign-in that has begun needs at its end.
	attemptCookie = "sign-in"
	// attemptWithin bounds the time between the two.
	attemptWithin = 10 * time.Minute
)

// SignIn is what can be set of a service whose pages people sign in to.
type SignIn struct {
	URL    string        `env:"CONSOLE_URL" help:"origin under which browsers reach the console, https, or http on loopback. People sign in to its pages at AUTH_ISSUER, as AUTH_CLIENT_ID, which must be allowed to send them back to /sign-in/callback and, signed out, to /sign-out. Empty: nobody signs in, and each request needs a bearer token"`
	Key    config.Secret `env:"SESSION_KEY" help:"base64 of the 32 bytes under which who is signed in lies in a cookie, the same for all instances; another one ends all sessions. Read again for each request. Empty: one that ends with the process, for one instance"`
	Scopes []string      `env:"AUTH_SCOPES" envDefault:"openid" help:"scopes that are asked for when somebody signs in, separated by commas; openid must be one"`
}

// Validate returns all that is wrong with the variables.
func (c *SignIn) Validate() error {
	if c.URL == "" {
		return nil
	}
	u, err := url.Parse(c.URL)
	key, keyErr := c.Key.Read()
	if keyErr == nil && c.Key.IsSet() {
		_, keyErr = sessionKey(key)
	}
	return errors.Join(
		fault.FieldIf(err != nil || !issuerURL(c.URL) || u.Path != "", "CONSOLE_URL",
			"must be https://host[:port], or http on loopback, is %q", config.Shown(c.URL)),
		fault.FieldIf(keyErr != nil, "SESSION_KEY", "%w", keyErr),
		fault.FieldIf(!strings.Contains(" "+strings.Join(c.Scopes, " ")+" ", " openid "), "AUTH_SCOPES", "must have openid"),
	)
}

// Host is the name in the URL, in lower case; empty: there is none.
func (c *SignIn) Host() string {
	u, err := url.Parse(c.URL)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Hostname())
}

// Notice is what a page tells somebody who is not let in, or not any more.
type Notice struct {
	Status      int
	Title, Text string
	// SignIn is the address of a sign-in; empty: it would not help.
	SignIn string
	// Next is where to go on at once; empty: nowhere.
	Next string
}

// signIn signs people in: the authorization code grant with PKCE (RFC 6749, 4.1; RFC 7636; OpenID Connect Core, 3.1).
type signIn struct {
	cfg      SignIn
	as       Credentials
	verifier *verifier
	cookies  cookies
	notice   func(http.ResponseWriter, *http.Request, Notice)
}

// SignIn lets people sign in, and takes who is signed in where a request has no token. notice shows a Notice. Nothing
// happens without an issuer or a URL. It must be called before Routes.
func (g *Guard) SignIn(cfg SignIn, as Credentials, notice func(http.ResponseWriter, *http.Request, Notice)) {
	if g.verifier == nil || cfg.URL == "" {
		return
	}
	if !cfg.Key.IsSet() {
		cfg.Key = config.NewSecret(NewSessionKey())
	}
	c := cookies{issuer: g.cfg.Issuer, secure: strings.HasPrefix(cfg.URL, "https:"), key: cfg.Key}
	g.signIn = &signIn{cfg, as, g.verifier, c, notice}
}

// SignInRoutes adds the routes of a sign-in, which need no token.
func (g *Guard) SignInRoutes(r chi.Router) {
	s := g.signIn
	if s == nil {
		return
	}
	r = r.With(limit(g.cfg.PerAddress, "address"))
	r.Get(SignInPath, s.begin)
	r.Get(CallbackPath, s.end)
	r.Post(SignOutPath, s.out)
	r.Get(SignOutPath, func(w http.ResponseWriter, r *http.Request) {
		s.notice(w, r, Notice{http.StatusOK, "Signed out", "Nobody is signed in here.", SignInPath, ""})
	})
}

// attempt is a sign-in that has begun.
type attempt struct {
	State    string `json:"state"`
	Nonce    string `json:"nonce"`
	Verifier string `json:"verifier"`
	To       string `json:"to"`
}

// begin sends people to the issuer, from the origin that they come back to: its cookies are no other's.
func (s *signIn) begin(w http.ResponseWriter, r *http.Request) {
	to := local(r.URL.Query().Get("to"))
	if _, host, _ := strings.Cut(s.cfg.URL, "://"); !strings.EqualFold(r.Host, host) && !r.URL.Query().Has("moved") {
		there := SignInPath + "?" + url.Values{"moved": {""}, "to": {to}}.Encode()
		http.Redirect(w, r, s.cfg.URL+there, http.StatusSeeOther)
		return
	}
	a := attempt{oauth2.GenerateVerifier(), oauth2.GenerateVerifier(), oauth2.GenerateVerifier(), to}
	client, err := s.client()
	if err == nil {
		err = s.cookies.set(w, attemptCookie, time.Now().Add(attemptWithin), a)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	http.Redirect(w, r, client.AuthCodeURL(a.State, oauth2.S256ChallengeOption(a.Verifier), oidc.Nonce(a.Nonce),
		oauth2.SetAuthURLParam("audience", s.verifier.cfg.Audience)), http.StatusSeeOther)
}

// client is what this service is to the issuer.
func (s *signIn) client() (*oauth2.Config, error) {
	at := s.verifier.found.Load()
	if at == nil {
		return nil, errIssuerAway
	}
	secret, err := s.as.Secret.Read()
	return &oauth2.Config{
		ClientID: s.as.ClientID, ClientSecret: secret, Endpoint: at.endpoint,
		RedirectURL: s.cfg.URL + CallbackPath, Scopes: s.cfg.Scopes,
	}, err
}

// end takes people back from the issuer.
func (s *signIn) end(w http.ResponseWriter, r *http.Request) {
	var a attempt
	_, err := s.cookies.get(r, attemptCookie, &a)
	s.cookies.clear(w, attemptCookie)
	said := r.URL.Query()
	switch {
	case err != nil || said.Get("state") != a.State:
		s.notice(w, r, Notice{http.StatusBadRequest, "Not signed in", "This sign-in did not begin in this browser, or " +
			"longer than ten minutes ago, or another began meanwhile.", SignInPath, ""})
		return
	case said.Get("error") != "":
		s.notice(w, r, Notice{http.StatusForbidden, "Not signed in",
			"The issuer says: " + said.Get("error") + " " + said.Get("error_description"), SignInPath, ""})
		return
	}
	c, err := s.exchange(r.Context(), said.Get("code"), a)
	if err == nil {
		err = s.cookies.set(w, sessionCookie, c.Expires, session{c.Subject, c.roles})
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	slog.InfoContext(r.Context(), "signed in", "subject", c.Subject, "roles", c.roles, "until", c.Expires)
	http.Redirect(w, r, a.To, http.StatusSeeOther)
}

// exchange gets the tokens of a code, and says whose they are. The rights are those of the access token, judged as if
// it had come as a bearer token.
func (s *signIn) exchange(ctx context.Context, code string, a attempt) (Caller, error) {
	client, err := s.client()
	if err != nil {
		return Caller{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	tokens, err := client.Exchange(ctx, code, oauth2.VerifierOption(a.Verifier))
	if answer, ok := errors.AsType[*oauth2.RetrieveError](err); err != nil && (!ok || answer.ErrorCode == "") {
		return Caller{}, errors.Join(errIssuerAway, err)
	}
	if err != nil {
		return Caller{}, err
	}
	raw, _ := tokens.Extra("id_token").(string)
	id, err := oidc.NewVerifier(s.verifier.cfg.Issuer, s.verifier.found.Load().keys, &oidc.Config{
		ClientID: s.as.ClientID, SupportedSigningAlgs: algorithms,
	}).Verify(ctx, raw)
	if err == nil && id.Nonce != a.Nonce {
		err = errors.New("the id token has another nonce")
	}
	if err == nil && id.AccessTokenHash != "" {
		err = id.VerifyAccessToken(tokens.AccessToken)
	}
	if err != nil {
		return Caller{}, err
	}
	c, err := s.verifier.caller(ctx, tokens.AccessToken)
	if err == nil && c.Subject != id.Subject {
		err = errors.New("the access token has another subject than the id token")
	}
	return c, err
}

// fail says that a sign-in could not be made, or not now.
func (s *signIn) fail(w http.ResponseWriter, r *http.Request, err error) {
	slog.WarnContext(r.Context(), "sign-in failed", "error", err)
	if errors.Is(err, errIssuerAway) || fault.ClassOf(err) != fault.Transient {
		s.notice(w, r, Notice{http.StatusServiceUnavailable, "Not now",
			"The issuer cannot be asked at the moment.", SignInPath, ""})
		return
	}
	s.notice(w, r, Notice{http.StatusForbidden, "Not signed in",
		"What the issuer gave is not good here; the log of this service says why.", SignInPath, ""})
}

// out ends the session, here and at the issuer where that can be asked.
func (s *signIn) out(w http.ResponseWriter, r *http.Request) {
	if foreign(r) {
		refuse(w, r, notOurPage())
		return
	}
	if c, err := s.caller(r); err == nil {
		slog.InfoContext(r.Context(), "signed out", "subject", c.Subject)
	}
	s.cookies.clear(w, sessionCookie)
	next := SignOutPath
	if at := s.verifier.found.Load(); at != nil && at.endSession != "" {
		next = at.endSession + "?" + url.Values{
			"client_id": {s.as.ClientID}, "post_logout_redirect_uri": {s.cfg.URL + SignOutPath},
		}.Encode()
	}
	// Not a redirect: the policy of a page, form-action 'self', holds for where its form is redirected to.
	s.notice(w, r, Notice{http.StatusOK, "Signed out", "Nobody is signed in here.", SignInPath, next})
}

// turnAway answers a browser that wants to see a page and may not.
func (s *signIn) turnAway(w http.ResponseWriter, r *http.Request, err error) {
	p := problem.From(err)
	n := Notice{Status: p.Status, Title: p.Title, Text: p.Detail}
	switch c := CallerOf(r.Context()); {
	case p.Status == http.StatusUnauthorized && r.Method == http.MethodGet:
		http.Redirect(w, r, SignInPath+"?"+url.Values{"to": {r.URL.RequestURI()}}.Encode(), http.StatusSeeOther)
		return
	case p.Status == http.StatusUnauthorized:
		n.Text, n.SignIn = "Nobody is signed in here, or not any more. Nothing was done.", SignInPath
	case c.Subject != "":
		n.Text = "For " + c.Subject + ": " + p.Detail + "."
	}
	s.notice(w, r, n)
}
