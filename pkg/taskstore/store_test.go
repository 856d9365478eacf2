package taskstore_test

import (
	"testing"

	"github.com/troupe-dev/troupe/pkg/taskstore/storetest"
)

func TestStoreContract(t *testing.T) { storetest.Suite(t, storetest.Fresh(t)) }
