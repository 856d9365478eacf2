package notification

import (
	"testing"

	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/httpdoor/httpdoortest"
	"github.com/troupe-dev/troupe/pkg/lifecycle"
)

func TestEveryRouteIsADoors(t *testing.T) {
	httpdoortest.Routes(t, httpdoor.Config{}, routes(lifecycle.NewHealth()), httpdoortest.Header{})
}
