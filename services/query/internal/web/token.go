package web

import (
	"crypto/rand"
	"crypto/subtle"
	"net/http"

	"github.com/troupe-dev/troupe/pkg/problem"
)

// TokenHeader bears the token of the console's pages in what their scripts send; forms have a field called token.
const TokenHeader = "X-Console-Token"

// maxForm bounds the body of a form, in bytes.
const maxForm = 16 << 10

// newToken makes what a page must show that it came from this process: no other page can know it.
func newToken() string { return rand.Text() }

// ours lets a request through that bears the token.
func (p *Pages) ours(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		given := r.Header.Get(TokenHeader)
		if given == "" {
			given = r.PostFormValue("token")
		}
		if subtle.ConstantTimeCompare([]byte(given), []byte(p.token)) != 1 {
			problem.Write(w, r, problem.New(http.StatusForbidden, "console-token", "Not from this console",
				"token must be that of the console's page as it is now: load the page again", problem.Field{Field: "token", Detail: "must be that of the page"}))
			return
		}
		next(w, r)
	}
}
