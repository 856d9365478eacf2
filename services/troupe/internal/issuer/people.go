package issuer

import (
	"embed"
	"html/template"
	"log/slog"
	"net/http"

	"github.com/go-chi/chi/v5"
)

// choosePath is where a person says who it is.
const choosePath = "/choose"

//go:embed templates
var files embed.FS

var page = template.Must(template.ParseFS(files, "templates/choose.html"))

// somebody can be chosen by whoever is at a browser of this machine: operators of the playground, and no customer.
type somebody struct{ Name, May string }

var people = []somebody{
	{"admin", "may do everything"},
	{"viewer", "sees orders, figures, and what is stuck"},
	{"operator", "brings back what is stuck, and sees what is in it"},
	{"breaker", "breaks things"},
}

// view is what the page shows.
type view struct {
	People []somebody
	// Request is the name of the sign-in; Code that of a device, which its person compares.
	Request, Code string
	// Said is shown in place of people.
	Said string
	// Ask is for the code of a device.
	Ask bool
}

// routes adds the page.
func (p *provider) routes(r chi.Router) {
	r.Get(choosePath, p.choices)
	r.Post(choosePath, p.choice)
	r.Get("/style.css", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, files, "templates/style.css")
	})
}

func (p *provider) choices(w http.ResponseWriter, r *http.Request) {
	v := view{People: people, Request: r.FormValue("request")}
	found := p.signIns.open(v.Request)
	switch {
	case v.Request == "":
		v.Ask = true
	case found == nil:
		show(w, r, http.StatusNotFound, view{Said: "This sign-in is over, or was never begun. Begin it again."})
		return
	case found.ask == nil:
		v.Code = v.Request
	}
	show(w, r, http.StatusOK, v)
}

func (p *provider) choice(w http.ResponseWriter, r *http.Request) {
	as := r.PostFormValue("as")
	if !person(as) {
		show(w, r, http.StatusBadRequest, view{Said: "There is nobody of that name."})
		return
	}
	signIn, code := p.signIns.choose(r.PostFormValue("request"), as)
	switch {
	case signIn == nil:
		show(w, r, http.StatusNotFound, view{Said: "This sign-in is over, or was never begun. Begin it again."})
	case signIn.ask == nil:
		show(w, r, http.StatusOK, view{Said: "The terminal is signed in as " + as + ". This page can be closed."})
	default:
		http.Redirect(w, r, signIn.back(code), http.StatusSeeOther)
	}
}

func show(w http.ResponseWriter, r *http.Request, status int, v view) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	if err := page.Execute(w, v); err != nil {
		slog.WarnContext(r.Context(), "page of the issuer", "error", err) // who looks may be gone
	}
}
