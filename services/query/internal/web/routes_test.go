package web_test

import (
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/httpdoor/httpdoortest"
	"github.com/troupe-dev/troupe/pkg/lifecycle"
	"github.com/troupe-dev/troupe/services/query/internal/console"
	"github.com/troupe-dev/troupe/services/query/internal/querytest"
	"github.com/troupe-dev/troupe/services/query/internal/web"
)

func TestEveryRouteOfTheConsoleIsADoors(t *testing.T) {
	s := querytest.New(t)
	s.Play()
	s.Caught()
	desk, err := console.New(s.Model, s.Log, nil, console.NewJobs(), querytest.Partitions)
	if err != nil {
		t.Fatal(err)
	}
	pages, err := web.New(s.Model, s.Log, desk, web.Config{})
	if err != nil {
		t.Fatal(err)
	}
	httpdoortest.Routes(t, httpdoor.Config{}, desk.Handler(func(r chi.Router) {
		pages.Routes(r)
		lifecycle.NewHealth().Routes(r)
	}), httpdoortest.Header{})
}
