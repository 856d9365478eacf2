// Package web is the console's pages for people. They are whole without JavaScript; scripts make them live.
// Everything shown is escaped by html/template, and nothing is loaded from elsewhere.
package web

import (
	"bytes"
	"cmp"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/schemas/choreography"
	"github.com/troupe-dev/troupe/schemas/client/queryapi"
	"github.com/troupe-dev/troupe/schemas/money"
	"github.com/troupe-dev/troupe/services/console/internal/httpapi"
	"github.com/troupe-dev/troupe/services/console/internal/letters"
	"github.com/troupe-dev/troupe/services/console/internal/orders"
	"github.com/troupe-dev/troupe/services/console/internal/playground"
	"github.com/troupe-dev/troupe/services/console/internal/pulse"
	"github.com/troupe-dev/troupe/services/console/internal/statistics"
)

//go:embed templates
var templates embed.FS

//go:embed static
var static embed.FS

// policy lets a page load from its own origin only; it holds no inline script or style.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; " +
	"base-uri 'none'; frame-ancestors 'none'"

// Config of the console.
type Config struct {
	// QueryURL is where customers read, for commands that are shown.
	QueryURL string
	// TraceURL is the address of a trace, with {trace_id} in it; empty: none is known.
	TraceURL string
	// Pulse is shown above each page; nil: none is.
	Pulse *pulse.Pulse
	// Choreography is what the map shows.
	Choreography *choreography.Choreography
	// Playground that can be broken.
	Playground playground.Playground
}

// Pages is the console.
type Pages struct {
	model  *letters.Model
	orders *orders.Query
	log    broker.Log
	desk   *httpapi.Server
	cfg    Config
	chart  chart
	totals *statistics.Topic
	// streams has a place for each browser that is live.
	streams *httpdoor.Streams
}

// New returns the console.
func New(model *letters.Model, query *orders.Query, log statistics.Log, desk *httpapi.Server, cfg Config) *Pages {
	p := &Pages{
		model: model, orders: query, log: log, desk: desk, cfg: cfg,
		streams: httpdoor.NewStreams(maxStreams, maxOfOne), totals: statistics.New(log),
	}
	if cfg.Choreography != nil {
		p.chart = chartOf(cfg.Choreography)
	}
	return p
}

// Routes adds the pages.
func (p *Pages) Routes(r chi.Router) {
	r.Get("/", p.showMap)
	r.Get("/break", p.breaks)
	r.Post("/break/{name}", p.breakIt)
	r.Get("/live", p.live)
	r.Get("/orders", p.list)
	r.Get("/orders/{id}", p.order)
	r.Get("/dead-letters", p.letters)
	r.Get("/dead-letters/{participant}/{order}", p.letter)
	r.Get("/statistics", p.statistics)
}

// Static adds what pages load, which holds nothing of what they show.
func (p *Pages) Static(r chi.Router) {
	served := http.FileServerFS(static)
	r.Get("/static/*", func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header()) // a shared worker is under the policy of its own answer, not of the pages'
		served.ServeHTTP(w, r)
	})
}

// layout is what the layout needs of every page.
type layout struct {
	Title string
	// Name of the page: it says which entry of the navigation is lit.
	Name string
	// Pulse as it is now; nil: it is not shown.
	Pulse *pulse.Sample
	// Caller is who looks.
	Caller auth.Caller
	// Breakable says that this is a playground.
	Breakable bool
	Page      any
}

// show renders a page: templates/page_<name>.html in the layout.
func (p *Pages) show(w http.ResponseWriter, r *http.Request, status int, name, title string, page any) {
	var b bytes.Buffer
	v := layout{Title: title, Name: name, Page: page, Caller: auth.CallerOf(r.Context()), Breakable: p.cfg.Playground.Control != ""}
	if p.cfg.Pulse != nil && v.Caller.Has(auth.Viewer) {
		sample, _ := p.cfg.Pulse.Look(r.Context())
		v.Pulse = &sample
	}
	if err := pages[name].Execute(&b, v); err != nil {
		slog.ErrorContext(r.Context(), "console page", "page", name, "error", err)
		problem.Write(w, r, err)
		return
	}
	h := w.Header()
	secure(h)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the reader may be gone
}

func secure(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
}

// Notice tells somebody who is not let in why, and how to sign in.
func (p *Pages) Notice(w http.ResponseWriter, r *http.Request, n auth.Notice) {
	p.show(w, r, n.Status, "notice", n.Title, n)
}

// pages are templates/page_<name>.html by their names, each in the layout. What is built in can be read.
var pages = parsed()

func parsed() map[string]*template.Template {
	all := map[string]*template.Template{}
	names, _ := fs.Glob(templates, "templates/page_*.html") // fails only for what is no pattern
	for _, name := range names {
		t := template.New("layout.html").Funcs(functions)
		all[strings.TrimSuffix(path.Base(name), ".html")[len("page_"):]] = template.Must(t.ParseFS(templates,
			"templates/layout.html", "templates/pulse.html", "templates/map.html", "templates/story.html", name))
	}
	return all
}

// functions of the templates.
var functions = template.FuncMap{
	// ago is how long a moment lies back, in one unit.
	"ago":   func(t time.Time) string { return span(time.Since(t)) },
	"money": money.Format,
	"clock": func(t time.Time) string { return t.UTC().Format("15:04:05.000") },
	// short is a type without its package.
	"short": func(typ string) string { return typ[strings.LastIndexByte(typ, '.')+1:] },
	// settled is how long an order took to settle for the first time.
	"settled": func(o queryapi.Order) string {
		at := cmp.Or(o.ConfirmedAt, o.SettledAt)
		if at.IsZero() {
			return ""
		}
		return span(at.Sub(o.PlacedAt))
	},
	"gap": func(ms *float64) string {
		if ms == nil {
			return ""
		}
		return fmt.Sprintf("+%.1f ms", *ms)
	},
	"valid": func(text []byte) string { return strings.ToValidUTF8(string(text), "\ufffd") },
	"kind":  func(kind string) string { return strings.ReplaceAll(kind, "_", " ") },
	"add":   func(a, b int) int { return a + b },
	"pretty": func(raw json.RawMessage) string {
		var b bytes.Buffer
		if json.Indent(&b, raw, "", "  ") != nil {
			return string(raw)
		}
		return b.String()
	},
	"iso": func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) },
	// rate is how many a second.
	"rate": func(n float64) string {
		if n == 0 || n >= 100 {
			return fmt.Sprintf("%.0f/s", n)
		}
		return fmt.Sprintf("%.1f/s", n)
	},
	// lasted writes milliseconds as people read them.
	"lasted": func(ms int64) string {
		if ms < 1000 || ms >= 10_000 {
			return span(time.Duration(ms) * time.Millisecond)
		}
		return fmt.Sprintf("%.1f s", float64(ms)/1000)
	},
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
