package gateway

import (
	"embed"
	"html/template"
	"log/slog"
	"net/http"
	"slices"
)

//go:embed page.html page.css
var assets embed.FS

var pageTemplate = template.Must(template.ParseFS(assets, "page.html"))

// page shows people the last movements of money.
func (s *Simulator) page(w http.ResponseWriter, _ *http.Request) {
	now := s.now()
	switches := s.switches().say(now)
	s.mu.Lock()
	data := struct {
		Switches         []string
		Intents, Refunds int
		Recent           []movement
	}{Switches: switches, Intents: len(s.book.intents), Refunds: len(s.book.refunds), Recent: slices.Clone(s.book.recent)}
	s.mu.Unlock()
	slices.Reverse(data.Recent)
	secure(w, "text/html; charset=utf-8")
	if err := pageTemplate.Execute(w, data); err != nil {
		slog.Debug("page not delivered", "error", err)
	}
}

func (s *Simulator) style(w http.ResponseWriter, r *http.Request) {
	secure(w, "text/css; charset=utf-8")
	http.ServeFileFS(w, r, assets, "page.css")
}

func secure(w http.ResponseWriter, contentType string) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
}
