// Package brokertest gives tests an empty broker, and Suite, the contract that every broker.Log passes.
//
// Memory needs no network and runs inside testing/synctest bubbles. Fresh gives an address instead, from the highest
// rung of the ladder that the environment offers:
//
//	real       TEST_KAFKA_BROKERS names brokers. All their topics and groups are deleted first, by every test:
//	           never name a cluster that matters, and run packages one after the other (go test -p 1).
//	container  TEST_CONTAINERS=1, or TEST_REAL=1 and a Docker engine answers: Apache Kafka in a container.
//	embedded   otherwise: kfake, a fake that speaks Kafka's protocol.
//
// TEST_REAL=1 without brokers and without Docker fails the test; nothing is skipped.
package brokertest

import (
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/twmb/franz-go/pkg/kfake"
)

// Fresh returns the configuration of an empty broker that lives as long as the test, with a replication factor of 1 and
// short time-outs. The test's log says which rung it is.
func Fresh(t testing.TB) broker.Config {
	t.Helper()
	cfg := broker.Config{ReplicationFactor: 1, ProduceTimeout: 3 * time.Second, RebalanceTimeout: 5 * time.Second,
		SessionTimeout: 6 * time.Second, ClientID: "troupe-test"}
	switch addrs := os.Getenv("TEST_KAFKA_BROKERS"); {
	case addrs != "":
		t.Logf("kafka: real, %s", addrs)
		cfg.Brokers = strings.Split(addrs, ",")
		wipe(t, cfg.Brokers)
	case os.Getenv("TEST_CONTAINERS") == "1", os.Getenv("TEST_REAL") == "1":
		cfg.Brokers = []string{container(t)}
		t.Logf("kafka: container (%s), %s", image, cfg.Brokers[0])
		wipe(t, cfg.Brokers)
	default:
		t.Log("kafka: embedded (kfake)")
		cfg.Brokers = Embedded(t).ListenAddrs()
	}
	return cfg
}

// Embedded starts an embedded broker for tests that steer it: see kfake's ControlKey and options. By default it is one
// broker; no topic is ever created by itself.
func Embedded(t testing.TB, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	opts = append([]kfake.Opt{kfake.NumBrokers(1), kfake.ListenFn(loopback)}, opts...)
	cluster, err := kfake.NewCluster(opts...)
	if err != nil {
		t.Fatalf("start the embedded broker: %v", err)
	}
	t.Cleanup(cluster.Close)
	return cluster
}

// loopback keeps a broker without a chosen address off the outer interfaces.
func loopback(network, address string) (net.Listener, error) {
	if host, port, err := net.SplitHostPort(address); err == nil && host == "" {
		address = net.JoinHostPort("127.0.0.1", port)
	}
	return net.Listen(network, address)
}
