// Package web is the console: pages for people on the operators' door. They are whole without JavaScript; scripts make them live.
// Everything shown is escaped by html/template, and nothing is loaded from elsewhere.
package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/services/query/internal/readmodel"
	"github.com/troupe-dev/troupe/services/query/internal/story"
)

//go:embed templates static
var files embed.FS

// policy lets a page load from its own origin only; it holds no inline script or style.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; " +
	"base-uri 'none'; frame-ancestors 'none'"

// Config of the console.
type Config struct {
	Partitions int
	// ControlURL of the playground's control API; empty outside a playground: then nothing can be broken from here.
	ControlURL string
}

// Pages is the console.
type Pages struct {
	model *readmodel.Model
	log   broker.Log
	tail  *story.Tail
	cfg   Config
	pages map[string]*template.Template
}

// New returns the console. It fails only when a template that is built in cannot be read.
func New(model *readmodel.Model, log broker.Log, tail *story.Tail, cfg Config) (*Pages, error) {
	p := &Pages{model: model, log: log, tail: tail, cfg: cfg, pages: map[string]*template.Template{}}
	names, err := fs.Glob(files, "templates/page_*.html")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		t, err := template.New("layout.html").Funcs(functions).ParseFS(files, "templates/layout.html", name)
		if err != nil {
			return nil, fmt.Errorf("console, %s: %w", name, err)
		}
		p.pages[name] = t
	}
	return p, nil
}

// Routes adds the pages and what they load.
func (p *Pages) Routes(r chi.Router) {
	static, err := fs.Sub(files, "static")
	if err != nil {
		panic(err) // embedded
	}
	r.Method(http.MethodGet, "/static/*", http.StripPrefix("/static/", http.FileServerFS(static)))
}

// view is what the layout needs of every page.
type view struct {
	Title string
	// Here is the entry of the navigation that is lit.
	Here string
	// CanBreak: there is a playground to break.
	CanBreak bool
	Page     any
}

// show renders a page: templates/page_<name>.html in the layout.
func (p *Pages) show(w http.ResponseWriter, r *http.Request, status int, name, title string, page any) {
	var b bytes.Buffer
	v := view{Title: title, Here: name, CanBreak: p.cfg.ControlURL != "", Page: page}
	if err := p.pages["templates/page_"+name+".html"].Execute(&b, v); err != nil {
		slog.ErrorContext(r.Context(), "console page", "page", name, "error", err)
		problem.Write(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the reader may be gone
}

// functions of the templates.
var functions = template.FuncMap{
	// ago is how long a moment lies back, in one unit.
	"ago": func(t time.Time) string { return span(time.Since(t)) },
	// money writes minor units: 2500, EUR is 25.00 EUR.
	"money": func(minor int64, currency string) string {
		return fmt.Sprintf("%d.%02d %s", minor/100, minor%100, currency)
	},
	"clock": func(t time.Time) string { return t.UTC().Format("15:04:05.000") },
	"iso":   func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) },
}

// span writes a duration in one unit.
func span(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
