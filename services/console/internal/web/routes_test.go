package web_test

import (
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/httpdoor/httpdoortest"
	"github.com/troupe-dev/troupe/pkg/lifecycle"
	"github.com/troupe-dev/troupe/services/console/internal/consoletest"
	"github.com/troupe-dev/troupe/services/console/internal/httpapi"
	"github.com/troupe-dev/troupe/services/console/internal/orders"
	"github.com/troupe-dev/troupe/services/console/internal/web"
)

func TestEveryRouteOfTheConsoleIsADoors(t *testing.T) {
	s := consoletest.New(t)
	s.Play()
	s.Caught()
	query := orders.New(consoletest.NewQuery(t).URL)
	desk, err := httpapi.New(s.Model, query, s.Log, nil, consoletest.Partitions)
	if err != nil {
		t.Fatal(err)
	}
	pages, err := web.New(s.Model, query, s.Log, desk, web.Config{})
	if err != nil {
		t.Fatal(err)
	}
	httpdoortest.Routes(t, httpdoor.Config{}, desk.Handler(func(r chi.Router) {
		pages.Routes(r)
		lifecycle.NewHealth().Routes(r)
	}), httpdoortest.Header{})
}
