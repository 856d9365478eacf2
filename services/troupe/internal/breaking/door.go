package breaking

import (
	"encoding/json"
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/problem"
)

// List is the answer of GET /breaks.
type List struct {
	Breaks []Status `json:"breaks"`
}

// Routes adds GET /breaks, and POST and DELETE /breaks/{name}. It guards nothing: control.Guard must stand before it.
func (s *Stage) Routes(mux chi.Router) {
	mux.Get("/breaks", func(w http.ResponseWriter, _ *http.Request) { answer(w, List{s.List()}) })
	mux.Post("/breaks/{name}", func(w http.ResponseWriter, r *http.Request) {
		is, err := s.Begin(r.Context(), httpdoor.Param(r, "name"), r.URL.Query().Get("option"))
		reply(w, r, is, err)
	})
	mux.Delete("/breaks/{name}", func(w http.ResponseWriter, r *http.Request) {
		is, err := s.End(r.Context(), httpdoor.Param(r, "name"))
		reply(w, r, is, err)
	})
}

// reply lets the caller read what is otherwise said of a 5xx to the log only: here they are the same person.
func reply(w http.ResponseWriter, r *http.Request, is Status, err error) {
	switch {
	case err == nil:
		answer(w, is)
	case fault.ClassOf(err) == fault.Unavailable:
		problem.Write(w, r, problem.New(http.StatusServiceUnavailable, problem.SlugUnavailable, "Temporarily unavailable", err.Error()))
	default:
		problem.Write(w, r, err)
	}
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(v) // the caller is gone; nobody to tell
}
