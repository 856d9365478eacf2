package mailbox

import (
	"bytes"
	"embed"
	"html/template"
	"io/fs"
	"net/http"
	"slices"
	"strconv"

	"github.com/go-chi/chi/v5"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/problem"
)

//go:embed templates static
var files embed.FS

var pages = template.Must(template.ParseFS(files, "templates/*.html"))

// pageSize is how many mails one page lists.
const pageSize = 100

// page shows the mailbox to people.
type page struct{ store *store }

func (p page) routes(r chi.Router) {
	static, err := fs.Sub(files, "static")
	if err != nil {
		panic(err) // embedded
	}
	r.Get("/", p.list)
	r.Get("/messages/{id}", p.read)
	r.Get("/messages/{id}/html", p.html)
	r.Method(http.MethodGet, "/static/*", http.StripPrefix("/static/", http.FileServerFS(static)))
}

type listView struct {
	To       string
	Total    int
	Messages []Message
	Older    int64 // the before of the next page; 0: there is none
	First    bool
}

// list shows the newest mails first: to picks a recipient, before is the id to start below.
func (p page) list(w http.ResponseWriter, r *http.Request) {
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
	f := filter{to: view.To}
	for _, m := range slices.Backward(p.store.all()) {
		if !f.matches(m) {
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
	p.render(w, r, "list.html", view)
}

func (p page) read(w http.ResponseWriter, r *http.Request) {
	m, raw, err := api(p).find(r)
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	p.render(w, r, "read.html", decode(m, raw))
}

// html is the HTML part alone, for the frame of read: strangers wrote it, so it may do nothing but look, wherever it is opened.
func (p page) html(w http.ResponseWriter, r *http.Request) {
	m, raw, err := api(p).find(r)
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	harmless(w)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy",
		"sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'; frame-ancestors 'self'")
	_, _ = w.Write([]byte(decode(m, raw).HTML)) // the reader is gone; nobody to tell
}

func (p page) render(w http.ResponseWriter, r *http.Request, name string, view any) {
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
