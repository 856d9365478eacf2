package console

import (
	"crypto/rand"
	"crypto/subtle"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/troupe-dev/troupe/pkg/problem"
)

// TokenHeader bears the token of the console's pages in what their scripts send; their forms have a field called token.
const TokenHeader = "X-Console-Token"

// maxForm bounds the body of a form, in bytes.
const maxForm = 16 << 10

// gate keeps pages of other sites from using the operators' door through an operator's browser. There is no login: the browser's
// place on this machine or network is all the right that such a page could borrow.
type gate struct {
	// token is what a page must show that it came from this process: no other page can know it.
	token string
	// names under which the door may be asked, beside localhost and addresses.
	names []string
}

func newGate(names []string) gate { return gate{rand.Text(), names} }

// handler lets through what may come in.
func (g gate) handler(next http.Handler) http.Handler {
	origin := http.NewCrossOriginProtection()
	origin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		problem.Write(w, r, problem.New(http.StatusForbidden, "cross-origin", "Cross-origin request",
			"a page of another origin may not change anything here"))
	}))
	tokens := origin.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !safe(r.Method) && fromBrowser(r) && !g.bears(w, r) {
			problem.Write(w, r, problem.New(http.StatusForbidden, "console-token", "Not from this console",
				"what a browser changes here must bear the token of the console's page as it is now: load the page again",
				problem.Field{Field: TokenHeader, Detail: "must be the token of the page"}))
			return
		}
		next.ServeHTTP(w, r)
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !g.known(r.Host) {
			problem.Write(w, r, problem.New(http.StatusMisdirectedRequest, "unknown-host", "Not asked by its name",
				"this door answers to localhost, to addresses, and to the names in CONSOLE_HOSTS",
				problem.Field{Field: "Host", Detail: "must be localhost, an address, or one of CONSOLE_HOSTS"}))
			return
		}
		tokens.ServeHTTP(w, r)
	})
}

// known refuses names that are not the door's. A site can point its own name at this machine (DNS rebinding), and its pages are of
// the same origin then; nobody can do so with an address.
func (g gate) known(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		return true
	}
	return name == "localhost" || strings.HasSuffix(name, ".localhost") || slices.Contains(g.names, name)
}

// safe methods change nothing.
func safe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// fromBrowser is true of everything that a page can make a browser send that changes something: browsers add Origin to it, and
// Sec-Fetch-Site. Clients such as curl and troupe add none of these and hold no token: nobody can make them send what they did not want.
func fromBrowser(r *http.Request) bool {
	return slices.ContainsFunc([]string{"Origin", "Sec-Fetch-Site", "Referer", "Cookie"}, func(h string) bool { return len(r.Header.Values(h)) > 0 })
}

// bears reads a form's body when the token is not in the header.
func (g gate) bears(w http.ResponseWriter, r *http.Request) bool {
	given := r.Header.Get(TokenHeader)
	if media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); given == "" && media == "application/x-www-form-urlencoded" {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		given = r.PostFormValue("token")
	}
	return subtle.ConstantTimeCompare([]byte(given), []byte(g.token)) == 1
}
