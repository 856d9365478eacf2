package httpdoor

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/pkg/telemetry"
)

// Config of a guard. The zero value answers to localhost and to addresses.
type Config struct {
	// Hosts are further names under which the API may be asked: lower case, without ports. One that begins with a dot
	// stands for every name that ends in it.
	Hosts []string
	// Variable is where Hosts came from: callers that are refused are told.
	Variable string
	// Internal says that programs ask this API by names of their own network, which are taken too.
	Internal bool
}

// Service is what can be set of the API of a service.
type Service struct {
	Hosts []string `env:"HTTP_HOSTS" help:"further names under which HTTP_ADDR is asked, separated by commas, lower case, without ports; .name stands for every name that ends in it. Anyway it answers to localhost, to addresses, and to what networks call their own: names without a dot, and those that end in .internal, .svc or .svc.cluster.local. Other names get 421, since a web page could have made them point here"`
}

// Validate names the variable when it is wrong.
func (s *Service) Validate() error { return CheckHosts("HTTP_HOSTS", s.Hosts) }

// Door is its config: other programs ask a service, by names of their network.
func (s *Service) Door() Config {
	return Config{Hosts: s.Hosts, Variable: "HTTP_HOSTS", Internal: true}
}

// CheckHosts is an Invalid error that names the variable when a value of Config.Hosts is none.
func CheckHosts(variable string, hosts []string) error {
	for _, h := range hosts {
		if strings.Trim(h, ".") == "" || h != strings.ToLower(h) || strings.ContainsAny(h, ":/* ") {
			return fault.Field(variable, "must be names in lower case, without ports, separated by commas")
		}
	}
	return nil
}

// internal are the ends of names that no site of the Internet can have: .internal is reserved for private networks, and
// .svc and .svc.cluster.local are what Kubernetes calls its services.
var internal = []string{".internal", ".svc", ".svc.cluster.local"}

// refused counts what was not let in, by reason.
var refused = telemetry.RequestsRefused.Counter()

// Guard lets through what may come in. There is no login: a browser's place on this machine or network is a right that
// a page of another site could borrow, so a request must ask for a name of the API (against DNS rebinding), and
// one that changes something must not come from another origin. A query that cannot be read is refused: what is left of
// it would filter less. HEAD ends with the header, whatever GET would go on to say.
func (c Config) Guard(next http.Handler) http.Handler {
	refuse := func(reason string, err error) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			telemetry.By(telemetry.Reason.String(reason)).Add(r.Context(), refused, 1)
			problem.Write(w, r, err)
		})
	}
	unknown := refuse("host", problem.New(http.StatusMisdirectedRequest, "unknown-host", "Not asked by its name",
		"this API answers to "+c.names(), problem.Field{Field: "Host", Detail: "must be " + c.names()}))
	unreadable := refuse("query",
		fault.Field("query", "must be pairs of name=value between &, percent-encoded; a ; is %%3B"))
	origins := http.NewCrossOriginProtection()
	origins.SetDenyHandler(refuse("origin", problem.New(http.StatusForbidden, "cross-origin", "Cross-origin request",
		"a page of another origin may not change anything here")))
	guarded := origins.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := WithClient(r.Context(), client(r.RemoteAddr))
		if r.Method == http.MethodHead {
			var end context.CancelFunc
			ctx, end = context.WithCancel(ctx)
			defer end()
			w = head{w, end}
		}
		r = r.WithContext(ctx)
		if r.Body != nil && r.Body != http.NoBody {
			r.Body = body{r.Body, w.Header()}
		}
		next.ServeHTTP(w, r)
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch _, err := url.ParseQuery(r.URL.RawQuery); {
		case !c.knows(r.Host):
			unknown.ServeHTTP(w, r)
		case err != nil:
			unreadable.ServeHTTP(w, r)
		default:
			guarded.ServeHTTP(w, r)
		}
	})
}

// names is what a caller that was refused is told: the kinds of names, not the names.
func (c Config) names() string {
	var names []string
	if c.Internal {
		names = append(names, "a name of the own network")
	}
	if c.Variable != "" {
		names = append(names, "a name in "+c.Variable)
	}
	return strings.Join(append([]string{"localhost", "an address"}, names...), " or ")
}

// knows refuses names that are not the API's. A site can point its own name at this machine, and its pages are of the
// same origin then. Nobody can do so with an address, with a name below .localhost, or, from the Internet, with one
// that has no dot: a container's, or a service's.
func (c Config) knows(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		return true
	}
	within := func(h string) bool { return name == h || strings.HasPrefix(h, ".") && strings.HasSuffix(name, h) }
	return name == "localhost" || within(".localhost") || slices.ContainsFunc(c.Hosts, within) ||
		c.Internal && name != "" && (!strings.Contains(name, ".") || slices.ContainsFunc(internal, within))
}

// head ends a request's context with the header of its answer: what streams has nothing more to say then.
type head struct {
	http.ResponseWriter
	end context.CancelFunc
}

// WriteHeader implements http.ResponseWriter.
func (h head) WriteHeader(status int) {
	h.ResponseWriter.WriteHeader(status)
	h.end()
}

// Write implements http.ResponseWriter: a body begins when the header is done.
func (h head) Write(b []byte) (int, error) {
	h.end()
	return h.ResponseWriter.Write(b)
}

// Unwrap serves http.ResponseController.
func (h head) Unwrap() http.ResponseWriter { return h.ResponseWriter }

// body tells one that is too slow from one that broke off.
type body struct {
	io.ReadCloser
	answer http.Header
}

// Read implements io.Reader. The connection is closed after a time-out: the rest of the body would be read as the next
// request.
func (b body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		b.answer.Set("Connection", "close")
		err = problem.New(http.StatusRequestTimeout, "request-timeout", "Request timeout",
			"the body did not arrive in time")
	}
	return n, err
}
