package httpapi

import (
	"testing"

	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/httpdoor/httpdoortest"
)

func TestEveryRouteIsADoors(t *testing.T) {
	httpdoortest.Routes(t, httpdoor.Config{}, serve(t, &fakeDoor{}), httpdoortest.Header{})
}
