package auth

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/pkg/telemetry"
)

// Slugs of the problems with which requests are refused.
const (
	SlugUnauthenticated = "unauthenticated"
	SlugForbidden       = "forbidden"
)

// issuerRetry is when a caller whose token could not be judged may ask again.
const issuerRetry = 5 * time.Second

var refused = telemetry.RequestsRefused.Counter()

// Table says which role a route asks for. A route is a method and chi's pattern, "GET /orders/{id}". One that is not in
// it is refused to everybody.
type Table map[string]Role

// Guard stands before the routes of an API. Make it by New.
type Guard struct {
	cfg      Config
	verifier *verifier // nil: authentication is off
	signIn   *signIn   // nil: bearer tokens alone
}

// New returns a guard. Run must run.
func New(cfg Config) *Guard {
	if cfg.Issuer == "" {
		return &Guard{}
	}
	return &Guard{cfg: cfg, verifier: newVerifier(cfg)}
}

// Run finds the issuer, follows its keys, and returns when ctx ends.
func (g *Guard) Run(ctx context.Context) error {
	if g.verifier != nil {
		g.verifier.discover(ctx)
		g.verifier.follow(ctx)
	}
	<-ctx.Done()
	return nil
}

// Ready returns why no token can be judged, or nil.
func (g *Guard) Ready() error {
	if g.verifier != nil && g.verifier.found.Load() == nil {
		return errors.New("the issuer was not found yet")
	}
	return nil
}

// Routes returns the middleware of a table. It belongs on routes, where chi knows the pattern, and before whatever
// reads a request: who may not ask is not told what is wrong with the question.
func (g *Guard) Routes(table Table) func(http.Handler) http.Handler {
	if g.verifier == nil {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, Caller{trusted: true})))
			})
		}
	}
	ofAddress, ofSubject := limit(g.cfg.PerAddress, "address"), limit(g.cfg.PerSubject, "subject")
	return func(next http.Handler) http.Handler {
		return ofAddress(g.identify(table, ofSubject(next)))
	}
}

// identify puts the caller into the context of requests whose token, or session, is good for their route.
func (g *Guard) identify(table Table, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := g.admit(r, table)
		ctx := context.WithValue(r.Context(), callerKey{}, c)
		switch {
		case err == nil:
			next.ServeHTTP(w, r.WithContext(httpdoor.WithClient(ctx, "subject "+c.Subject)))
		case g.signIn != nil && strings.Contains(r.Header.Get("Accept"), "text/html"): // a browser, for a page
			count(r, err)
			g.signIn.turnAway(w, r.WithContext(ctx), err)
		default:
			refuse(w, r, err)
		}
	})
}

// admit returns who sent a request, also where the error is that a role is missing.
func (g *Guard) admit(r *http.Request, table Table) (Caller, error) {
	c, err := g.caller(r)
	if err != nil {
		return Caller{}, err
	}
	route := chi.RouteContext(r.Context())
	if role, ok := table[route.RouteMethod+" "+route.RoutePattern()]; !ok || !c.Has(role) {
		return c, refusal{"role", "insufficient_scope", forbidden("this needs the role " + string(role))}
	}
	return c, nil
}

// caller judges the token of a request, and without one its session, whatever a login of a proxy in front left there.
func (g *Guard) caller(r *http.Request) (Caller, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if g.signIn != nil && !strings.EqualFold(scheme, "Bearer") {
		c, err := g.signIn.caller(r)
		switch {
		case err == nil && foreign(r):
			return Caller{}, notOurPage()
		case err == nil:
			return c, nil
		}
		slog.DebugContext(r.Context(), "no session", "error", err)
	}
	if !strings.EqualFold(scheme, "Bearer") || token == "" || len(r.Header.Values("Authorization")) > 1 {
		return Caller{}, refusal{"token", "", problem.New(http.StatusUnauthorized, SlugUnauthenticated, "Not signed in",
			"this needs a token, as Authorization: Bearer")}
	}
	c, err := g.verifier.caller(r.Context(), token)
	switch {
	case errors.Is(err, errIssuerAway):
		return Caller{}, refusal{"issuer", "", fault.Later(issuerRetry, "%w", err)}
	case err != nil:
		slog.DebugContext(r.Context(), "token refused", "error", err)
		return Caller{}, refusal{"token", "invalid_token", problem.New(http.StatusUnauthorized, SlugUnauthenticated,
			"Not signed in", "the token is not good here, or no longer")}
	}
	return c, nil
}

// notOurPage refuses what may be sent by a page of elsewhere.
func notOurPage() error {
	return refusal{"origin", "", problem.New(http.StatusForbidden, "cross-origin", "Cross-origin request",
		"with a session, Origin or Sec-Fetch-Site must say that a page of this origin asks")}
}

func forbidden(detail string, fields ...problem.Field) error {
	return problem.New(http.StatusForbidden, SlugForbidden, "Not allowed", detail, fields...)
}

// NotTheCaller is the problem of a request that names, in a field, a customer who is not its caller.
func NotTheCaller(ctx context.Context, field string) error {
	telemetry.By(telemetry.Reason.String("owner")).Add(ctx, refused, 1)
	return forbidden("customers act for themselves",
		problem.Field{Field: field, Detail: "must be the subject of the token"})
}

// refusal is an error with the reason that is counted, and the code of RFC 6750, 3.1.
type refusal struct {
	reason, code string
	error
}

func (r refusal) Unwrap() error { return r.error }

func count(r *http.Request, err error) {
	var why refusal
	errors.As(err, &why)
	telemetry.By(telemetry.Reason.String(why.reason)).Add(r.Context(), refused, 1)
}

func refuse(w http.ResponseWriter, r *http.Request, err error) {
	count(r, err)
	var why refusal
	errors.As(err, &why)
	challenge := `Bearer realm="troupe"`
	if why.code != "" {
		challenge += `, error="` + why.code + `"`
	}
	if why.reason == "token" || why.reason == "role" {
		w.Header().Set("WWW-Authenticate", challenge)
	}
	problem.Write(w, r, err)
}
