package broker_test

import (
	"testing"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
)

func open(t *testing.T, cfg broker.Config) *broker.Client {
	t.Helper()
	c, err := broker.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestClientKeepsTheContract(t *testing.T) {
	brokertest.Suite(t, func(t *testing.T) brokertest.Subject {
		cfg := brokertest.Fresh(t)
		return brokertest.Subject{Log: open(t, cfg), Trim: brokertest.Trimmer(t, cfg), Delete: brokertest.Deleter(t, cfg)}
	})
}
