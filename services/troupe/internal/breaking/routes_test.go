package breaking

import (
	"context"
	"testing"

	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/httpdoor/httpdoortest"
	"github.com/troupe-dev/troupe/services/troupe/control"
)

// The playground's control door, as troupe play puts it together.
func TestEveryRouteOfTheControlIsADoors(t *testing.T) {
	nothing := func(context.Context) error { return nil }
	stage := New(World{Flush: nothing})
	h := control.Handler(nil, control.Stores{
		Flush: nothing, Snapshot: nothing, Restore: nothing, MoveLeaders: nothing, MoveCoordinators: nothing,
	}, stage.Routes)
	httpdoortest.Routes(t, httpdoor.Config{}, h, httpdoortest.Header{Name: control.Header, Value: "1"})
}
