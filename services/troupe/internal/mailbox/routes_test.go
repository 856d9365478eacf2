package mailbox

import (
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/httpdoor/httpdoortest"
	"github.com/troupe-dev/troupe/services/troupe/internal/switches"
)

func TestEveryRouteIsADoors(t *testing.T) {
	s, err := openStore(t.TempDir(), 10)
	if err != nil {
		t.Fatal(err)
	}
	httpdoortest.Routes(t, httpdoor.Config{}, routes(s, switches.New[Control](time.Now)), httpdoortest.Header{})
}
