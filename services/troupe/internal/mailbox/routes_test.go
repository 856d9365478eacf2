package mailbox

import (
	"testing"

	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/httpdoor/httpdoortest"
)

func TestEveryRouteIsADoors(t *testing.T) {
	s, err := openStore(t.TempDir(), 10)
	if err != nil {
		t.Fatal(err)
	}
	httpdoortest.Routes(t, httpdoor.Config{}, routes(s, &control{}, &server{}), httpdoortest.Header{})
}
