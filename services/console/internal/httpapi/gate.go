package httpapi

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"mime"
	"net/http"
	"slices"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/problem"
)

// TokenHeader bears the token of the console's pages in what their scripts send; their forms have a field called token.
const TokenHeader = "X-Console-Token"

// maxForm bounds the body of a form, in bytes.
const maxForm = 16 << 10

// gate keeps pages of other sites from using the operators' door through an operator's browser, where the guard that every door has
// would not know them: a page of another port of this host, seen by a browser that says nothing of origins.
type gate struct {
	// token is what a page must show that it came from this process: no other page can know it.
	token string
}

func newGate() gate { return gate{rand.Text()} }

// handler lets through what may come in.
func (g gate) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !safe(r.Method) && fromBrowser(r) {
			if err := g.bears(w, r); err != nil {
				problem.Write(w, r, err)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
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
func (g gate) bears(w http.ResponseWriter, r *http.Request) error {
	given := r.Header.Get(TokenHeader)
	if media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); given == "" && media == "application/x-www-form-urlencoded" {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := r.ParseForm(); err != nil {
			return unreadable(err)
		}
		given = r.PostForm.Get("token")
	}
	if subtle.ConstantTimeCompare([]byte(given), []byte(g.token)) != 1 {
		return problem.New(http.StatusForbidden, "console-token", "Not from this console",
			"what a browser changes here must bear the token of the console's page as it is now: load the page again",
			problem.Field{Field: TokenHeader, Detail: "must be the token of the page"})
	}
	return nil
}

// unreadable says of a form why its fields cannot be had.
func unreadable(err error) error {
	if errors.As(err, new(*http.MaxBytesError)) || errors.As(err, new(*problem.Problem)) {
		return err
	}
	return fault.Field("body", "must be a form: pairs of name=value between &, percent-encoded")
}
