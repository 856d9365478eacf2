package participant_test

import (
	"testing"

	"github.com/troupe-dev/troupe/pkg/participant/storetest"
)

func TestStoreContract(t *testing.T) { storetest.Suite(t, storetest.Fresh(t)) }
