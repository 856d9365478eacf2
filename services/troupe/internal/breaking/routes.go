package breaking

import (
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/services/troupe/control"
)

// List is the answer of GET /breaks.
type List struct {
	Breaks []Status `json:"breaks"`
}

// Routes adds GET /breaks, and POST and DELETE /breaks/{name}. It guards nothing: control.Handler does.
func (s *Stage) Routes(mux chi.Router) {
	mux.Get("/breaks", func(w http.ResponseWriter, r *http.Request) { control.Reply(w, r, List{s.List()}, nil) })
	mux.Post("/breaks/{name}", func(w http.ResponseWriter, r *http.Request) {
		is, err := s.Begin(r.Context(), httpdoor.Param(r, "name"), r.URL.Query().Get("option"))
		control.Reply(w, r, is, err)
	})
	mux.Delete("/breaks/{name}", func(w http.ResponseWriter, r *http.Request) {
		is, err := s.End(r.Context(), httpdoor.Param(r, "name"))
		control.Reply(w, r, is, err)
	})
}
