package broker

import (
	"testing"

	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/httpdoor/httpdoortest"
	"github.com/troupe-dev/troupe/services/troupe/control"
)

func TestEveryRouteOfTheBrokersControlIsADoors(t *testing.T) {
	httpdoortest.Routes(t, httpdoor.Config{}, moves(brokertest.Embedded(t), 1), httpdoortest.Header{Name: control.Header, Value: "1"})
}
