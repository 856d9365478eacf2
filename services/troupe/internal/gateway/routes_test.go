package gateway

import (
	"testing"

	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/httpdoor/httpdoortest"
)

// Below /v1 the simulator answers as Stripe does: 404 for a method that there is none of.
func TestEveryRouteIsADoors(t *testing.T) {
	httpdoortest.Routes(t, httpdoor.Config{}, open(t, t.TempDir(), nil).Handler(), httpdoortest.Header{}, "/v1")
}
