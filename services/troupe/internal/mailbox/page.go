package mailbox

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/problem"
)

//go:embed page.html
var pageText string

// page shows the list of mails, or one of them.
var page = template.Must(template.New("page").Parse(pageText))

// listed is how many mails the page lists.
const listed = 100

// web shows the mailbox to people and programs.
type web struct{ store *store }

func (p web) routes(r chi.Router) {
	r.Get("/", p.newest)
	r.Get("/messages/{id}", p.mail)
	r.Get("/api/messages", p.list)
}

// view is what the page shows: a mail, or the newest of those to a recipient, or to all.
type view struct {
	Mail     *Mail
	To       string
	Total    int
	Messages []Message
}

// newest lists the newest mails first: to picks a recipient, letters' case aside.
func (p web) newest(w http.ResponseWriter, r *http.Request) {
	v := view{To: r.URL.Query().Get("to")}
	for _, m := range slices.Backward(p.store.all()) {
		if v.To != "" && !slices.ContainsFunc(m.To, func(to string) bool { return strings.EqualFold(to, v.To) }) {
			continue
		}
		if v.Total++; v.Total <= listed {
			v.Messages = append(v.Messages, m)
		}
	}
	render(w, r, v)
}

// mail shows one.
func (p web) mail(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(httpdoor.Param(r, "id"), 10, 64)
	if err != nil {
		problem.Write(w, r, fault.Field("id", "must be the number of a mail"))
		return
	}
	m, raw, err := p.store.get(id)
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	mail := decode(m, raw)
	render(w, r, view{Mail: &mail})
}

// render writes the page. Strangers wrote the mail in its frame, which may do nothing but look.
func render(w http.ResponseWriter, r *http.Request, v view) {
	var out bytes.Buffer
	if err := page.Execute(&out, v); err != nil {
		problem.Write(w, r, err)
		return
	}
	harmless(w)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "+
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	_, _ = out.WriteTo(w) // the reader is gone; nobody to tell
}
