package broker

import (
	"testing"

	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/httpdoor/httpdoortest"
	"github.com/troupe-dev/troupe/services/troupe/control"
)

func TestEveryRouteOfTheBrokersControlIsADoors(t *testing.T) {
	f := &faults{nodes: 1}
	httpdoortest.Routes(t, httpdoor.Config{}, f.handler(), httpdoortest.Header{Name: control.Header, Value: "1"})
}
