package broker_test

import (
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/config"
	"github.com/troupe-dev/troupe/pkg/fault"
)

func TestConfigNamesTheVariable(t *testing.T) {
	notPEM := filepath.Join(t.TempDir(), "not.pem")
	if err := os.WriteFile(notPEM, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		environ  []string
		variable string
	}{
		{[]string{"KAFKA_BROKERS=localhost"}, "KAFKA_BROKERS"},
		{[]string{"KAFKA_BROKERS=a:1,b:0"}, "KAFKA_BROKERS"},
		{[]string{"KAFKA_BROKERS=:9092"}, "KAFKA_BROKERS"},
		{[]string{"KAFKA_BROKERS=a:99999"}, "KAFKA_BROKERS"},
		{[]string{"KAFKA_TLS=maybe"}, "KAFKA_TLS"},
		{[]string{"KAFKA_CA_FILE=ca.pem"}, "KAFKA_CA_FILE"},
		{[]string{"KAFKA_TLS_SERVER_NAME=kafka"}, "KAFKA_TLS_SERVER_NAME"},
		{[]string{"KAFKA_TLS=true", "KAFKA_CA_FILE=none.pem"}, "KAFKA_CA_FILE"},
		{[]string{"KAFKA_TLS=true", "KAFKA_CA_FILE=" + notPEM}, "KAFKA_CA_FILE"},
		{[]string{"KAFKA_TLS=true", "KAFKA_CERT_FILE=" + notPEM}, "KAFKA_CERT_FILE"},
		{[]string{"KAFKA_TLS=true", "KAFKA_CERT_FILE=" + notPEM, "KAFKA_KEY_FILE=" + notPEM}, "KAFKA_CERT_FILE"},
		{[]string{"KAFKA_SASL_MECHANISM=kerberos"}, "KAFKA_SASL_MECHANISM"},
		{[]string{"KAFKA_SASL_MECHANISM=plain"}, "KAFKA_SASL_USER"},
		{[]string{"KAFKA_SASL_MECHANISM=plain", "KAFKA_SASL_USER=u"}, "KAFKA_SASL_PASSWORD"},
		{[]string{"KAFKA_SASL_USER=u"}, "KAFKA_SASL_USER"},
		{[]string{"KAFKA_REPLICATION_FACTOR=-1"}, "KAFKA_REPLICATION_FACTOR"},
		{[]string{"KAFKA_REPLICATION_FACTOR=many"}, "KAFKA_REPLICATION_FACTOR"},
		{[]string{"KAFKA_COMPRESSION=rar"}, "KAFKA_COMPRESSION"},
		{[]string{"KAFKA_PRODUCE_TIMEOUT=1ms"}, "KAFKA_PRODUCE_TIMEOUT"},
		{[]string{"KAFKA_MAX_WAIT=1m"}, "KAFKA_MAX_WAIT"},
		{[]string{"KAFKA_SESSION_TIMEOUT=10ms"}, "KAFKA_SESSION_TIMEOUT"},
		{[]string{"KAFKA_REBALANCE_TIMEOUT=10s"}, "KAFKA_REBALANCE_TIMEOUT"},
	} {
		_, err := config.Load[broker.Config](c.environ)
		if fault.ClassOf(err) != fault.Invalid || !strings.HasPrefix(err.Error(), c.variable+": ") {
			t.Errorf("%v: %v, want an error that begins with %s", c.environ, err, c.variable)
		}
	}
}

func TestConfigDefaults(t *testing.T) {
	fromEnvironment, err := config.Load[broker.Config](nil)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(fromEnvironment.Brokers, []string{"127.0.0.1:9092"}) || fromEnvironment.MaxWait != 500*time.Millisecond {
		t.Errorf("%+v", fromEnvironment)
	}
	if err := (broker.Config{Brokers: []string{"a:1"}}).Validate(); err != nil {
		t.Errorf("zero values mean defaults: %v", err)
	}
	if _, err := broker.Open(broker.Config{}); fault.ClassOf(err) != fault.Invalid {
		t.Errorf("open without brokers: %v", err)
	}
	for factor, insync := range map[int]int{0: 2, 1: 1, 2: 1, 3: 2, 5: 2} {
		if got := (broker.Config{ReplicationFactor: factor}).MinInsync(); got != insync {
			t.Errorf("replication factor %d: min.insync.replicas %d, want %d", factor, got, insync)
		}
	}
}

// writePEM writes a certificate or key to a file of the test.
func writePEM(t *testing.T, name, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Whoever finds no fault with a password but its characters must not show it.
func TestAPasswordThatCannotBeUsedIsNotShown(t *testing.T) {
	const planted = "hunter2\a" // SASLprep (RFC 4013) takes no control character
	for _, mechanism := range []string{"scram-sha-256", "scram-sha-512"} {
		_, err := config.Load[broker.Config]([]string{
			"KAFKA_SASL_MECHANISM=" + mechanism, "KAFKA_SASL_USER=troupe", "KAFKA_SASL_PASSWORD=" + planted,
		})
		if fault.ClassOf(err) != fault.Invalid || !strings.Contains(err.Error(), "KAFKA_SASL_PASSWORD: ") ||
			strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", mechanism, err)
		}
	}
}
