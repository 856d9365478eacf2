package web_test

import (
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/troupe-dev/troupe/pkg/auth/authtest"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/httpdoor/httpdoortest"
	"github.com/troupe-dev/troupe/pkg/lifecycle"
	"github.com/troupe-dev/troupe/pkg/view/viewtest"
	"github.com/troupe-dev/troupe/schemas/choreography"
	"github.com/troupe-dev/troupe/services/console/internal/consoletest"
	"github.com/troupe-dev/troupe/services/console/internal/httpapi"
	"github.com/troupe-dev/troupe/services/console/internal/orders"
	"github.com/troupe-dev/troupe/services/console/internal/pulse"
	"github.com/troupe-dev/troupe/services/console/internal/web"
)

func TestEveryRouteOfTheConsoleIsADoors(t *testing.T) {
	s := consoletest.New(t)
	s.Play()
	s.Caught()
	query := orders.New(consoletest.NewQuery(t).URL, "", auth.Credentials{})
	desk, err := httpapi.New(s.Model, query, s.Log, nil, viewtest.Partitions)
	if err != nil {
		t.Fatal(err)
	}
	pages := web.New(s.Model, query, s.Log, desk, web.Config{})
	httpdoortest.Routes(t, httpdoor.Config{}, desk.Handler(auth.New(auth.Config{}), func(r chi.Router) {
		pages.Routes(r)
		pages.Static(r)
		lifecycle.NewHealth().Routes(r)
	}), httpdoortest.Header{})
}

func TestEveryTokenAndSessionAtEveryRouteOfTheConsole(t *testing.T) {
	s := consoletest.New(t)
	s.Play()
	s.Caught()
	protocol, err := choreography.Load()
	if err != nil {
		t.Fatal(err)
	}
	beat := pulse.New(pulse.Config{Log: s.Log, Groups: &idle{log: s.Log}, Choreography: protocol, Partitions: viewtest.Partitions})
	s.Run(beat.Run)
	query := orders.New(consoletest.NewQuery(t).URL, "", auth.Credentials{})
	desk, err := httpapi.New(s.Model, query, s.Log, beat, viewtest.Partitions)
	if err != nil {
		t.Fatal(err)
	}
	pages := web.New(s.Model, query, s.Log, desk, web.Config{Pulse: beat, Choreography: protocol})
	issuer := authtest.NewIssuer(t)
	sees, changes := auth.Viewer, auth.Operator
	guard := authtest.Guard(t, issuer.Config())
	cfg, as := authtest.SignInConfig(authtest.SessionKey)
	guard.SignIn(cfg, as, pages.Notice)
	authtest.Routes(t, issuer, desk.Handler(guard, pages.Routes, pages.Static), auth.Table{
		"GET /api/pulse": sees, "GET /api/rebuild": sees, "POST /api/rebuild": changes, "DELETE /api/rebuild": changes,
		"GET /api/dead-letters": sees, "GET /api/dead-letters/groups": sees, "GET /api/dead-letters/log": sees,
		"GET /api/dead-letters/requests/{request_id}": sees,
		// Payloads, and mail addresses in them.
		"GET /api/dead-letters/{participant}/{order_id}":          changes,
		"POST /api/dead-letters/{participant}/{order_id}/redrive": changes,
		"POST /api/dead-letters/{participant}/{order_id}/edit":    changes,
		"POST /api/dead-letters/{participant}/{order_id}/discard": changes,

		"GET /": sees, "GET /live": sees, "GET /orders": sees, "GET /orders/{id}": sees,
		"GET /dead-letters": sees, "GET /dead-letters/{participant}/{order}": changes,
		"GET /statistics": sees, "GET /break": sees, "POST /break/{name}": auth.Breaker,
	}, "GET /static/*")
}
