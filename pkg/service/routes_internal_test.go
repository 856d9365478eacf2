package service

import (
	"testing"

	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/httpdoor/httpdoortest"
	"github.com/troupe-dev/troupe/pkg/lifecycle"
)

func TestEveryRouteIsADoors(t *testing.T) {
	s := &Service{health: lifecycle.NewHealth()}
	httpdoortest.Routes(t, httpdoor.Config{}, s.handler(), httpdoortest.Header{})
}
