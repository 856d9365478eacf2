package httpapi_test

import (
	"fmt"
	"testing"

	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/httpdoor/httpdoortest"
	"github.com/troupe-dev/troupe/pkg/lifecycle"
	"github.com/troupe-dev/troupe/pkg/view/viewtest"
	"github.com/troupe-dev/troupe/services/query/internal/httpapi"
	"github.com/troupe-dev/troupe/services/query/internal/querytest"
	"github.com/troupe-dev/troupe/services/query/internal/readmodel"
	"github.com/troupe-dev/troupe/services/query/internal/story"
)

func TestEveryRouteIsADoors(t *testing.T) {
	s := querytest.New(t)
	s.Play()
	s.Caught()
	tail := story.NewTail(s.Log, readmodel.Topics, viewtest.Partitions)
	s.Run(tail.Run)
	api, err := httpapi.New(s.Model, s.Log, tail, httpapi.Config{Guard: auth.New(auth.Config{})})
	if err != nil {
		t.Fatal(err)
	}
	httpdoortest.Routes(t, httpdoor.Config{}, api.Handler(lifecycle.NewHealth().Routes), httpdoortest.Header{})
}

// A generated client writes escapes where it may.
func TestPathsMayBeEscaped(t *testing.T) {
	d := open(t, httpapi.Config{})
	id := viewtest.ID("o")
	token := d.Put(d.Writer.Placed(id, "c-1"))
	for _, path := range []string{"/orders/" + id, fmt.Sprintf("/orders/%%%02x%s", id[0], id[1:]), "/%6frders/" + id} {
		resp := d.get(t.Context(), path, "Consistency-Token", token)
		_ = resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
}
