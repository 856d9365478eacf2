package mailbox

import (
	"bytes"
	"embed"
	"html/template"
	"io/fs"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/problem"
)

//go:embed templates static
var files embed.FS

var pages = template.Must(template.ParseFS(files, "templates/*.html"))

// pageSize is how many mails one page lists.
const pageSize = 100

// web shows the mailbox to people and programs.
type web struct{ store *store }

func (p web) routes(r chi.Router) {
	static, err := fs.Sub(files, "static")
	if err != nil {
		panic(err) // embedded
	}
	r.Get("/", p.newest)
	r.Get("/messages/{id}", p.mail(read))
	r.Get("/messages/{id}/html", p.mail(html))
	r.Get("/messages/{id}/raw", p.mail(asItCame))
	r.Get("/api/messages", p.list)
	r.Method(http.MethodGet, "/static/*", http.StripPrefix("/static/", http.FileServerFS(static)))
}

type listView struct {
	To       string
	Total    int
	Messages []Message
	Older    int64 // the before of the next page; 0: there is none
	First    bool
}

// newest shows the newest mails first: to picks a recipient, letters' case aside; before is the id to start below.
func (p web) newest(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	before := int64(1<<63 - 1)
	if v := q.Get("before"); v != "" {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < 1 {
			problem.Write(w, r, fault.Field("before", "must be the number of a mail"))
			return
		}
		before = n
	}
	view := listView{To: q.Get("to"), First: !q.Has("before")}
	for _, m := range slices.Backward(p.store.all()) {
		if view.To != "" && !slices.ContainsFunc(m.To, func(to string) bool { return strings.EqualFold(to, view.To) }) {
			continue
		}
		view.Total++
		switch {
		case m.ID >= before:
		case len(view.Messages) < pageSize:
			view.Messages = append(view.Messages, m)
		default:
			view.Older = view.Messages[pageSize-1].ID
		}
	}
	render(w, r, "list.html", view)
}

// mail answers with what show makes of the mail that the path names.
func (p web) mail(show func(w http.ResponseWriter, r *http.Request, m Message, raw []byte)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
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
		harmless(w)
		show(w, r, m, raw)
	}
}

func read(w http.ResponseWriter, r *http.Request, m Message, raw []byte) {
	render(w, r, "read.html", decode(m, raw))
}

// html is the HTML part alone, for the frame of read: strangers wrote it, so it may do nothing but look, wherever it is opened.
func html(w http.ResponseWriter, _ *http.Request, m Message, raw []byte) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy",
		"sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'; frame-ancestors 'self'")
	_, _ = w.Write([]byte(decode(m, raw).HTML)) // the reader is gone; nobody to tell
}

func asItCame(w http.ResponseWriter, _ *http.Request, _ Message, raw []byte) {
	w.Header().Set("Content-Type", "message/rfc822")
	w.Header().Set("Content-Disposition", "attachment")
	_, _ = w.Write(raw) // the reader is gone; nobody to tell
}

func render(w http.ResponseWriter, r *http.Request, name string, view any) {
	var out bytes.Buffer
	if err := pages.ExecuteTemplate(&out, name, view); err != nil {
		problem.Write(w, r, err)
		return
	}
	harmless(w)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy",
		"default-src 'none'; style-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	_, _ = out.WriteTo(w) // the reader is gone; nobody to tell
}
