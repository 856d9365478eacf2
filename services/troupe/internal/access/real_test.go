package access_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/config"
	"github.com/troupe-dev/troupe/schemas/choreography"
	"github.com/troupe-dev/troupe/services/troupe/internal/access"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// secured is a real Kafka as scripts/kafka starts it with a folder of scripts/secrets: TEST_KAFKA_SECURE is its address
// without a login, where the tests are super user. make test-real sets both.
type secured struct {
	open, users, certificates string // addresses: without a login, by password, by certificate
	secrets                   string
	choreography              *choreography.Choreography
}

func real(t *testing.T) secured {
	t.Helper()
	addr, secrets := os.Getenv("TEST_KAFKA_SECURE"), os.Getenv("TEST_SECRETS")
	if addr == "" || secrets == "" {
		t.Skip("needs a Kafka with an authorizer: make test-real")
	}
	c, err := choreography.Load()
	if err != nil {
		t.Fatal(err)
	}
	return secured{addr, further(t, addr, 2), further(t, addr, 3), secrets, c}
}

func further(t *testing.T, addr string, by int) string {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort(host, strconv.Itoa(n+by))
}

// prepared grants and provisions, as a deployment does: by certificate, and by password.
func prepared(t *testing.T) secured {
	t.Helper()
	s := real(t)
	grant, err := config.Load[access.GrantConfig]([]string{"KAFKA_BROKERS=" + s.certificates, "KAFKA_TLS=true",
		"KAFKA_CA_FILE=" + s.file("ca.crt"), "KAFKA_CERT_FILE=" + s.file("admin.crt"), "KAFKA_KEY_FILE=" + s.file("admin.key"),
		"GRANT_PASSWORDS=" + s.secrets, "KAFKA_REPLICATION_FACTOR=1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := access.Grant(t.Context(), grant); err != nil {
		t.Fatal(err)
	}
	provision := access.ProvisionConfig{Retention: time.Hour}
	provision.Within, provision.Kafka = time.Minute, s.as(t, choreography.Provisioner)
	if err := access.Provision(t.Context(), provision); err != nil {
		t.Fatal(err)
	}
	// Those of others must be there too: of a missing topic that one may describe, Kafka does not refuse the deletion.
	admin, err := broker.Open(broker.Config{Brokers: []string{s.open}, ReplicationFactor: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = admin.Close() }()
	for _, r := range s.choreography.Readers {
		for _, topic := range r.Shows {
			if err := admin.Provision(t.Context(), []broker.Topic{{Name: topic, Partitions: 1}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	return s
}

func (s secured) file(name string) string { return filepath.Join(s.secrets, name) }

// as is the configuration of a user, with the password in its file.
func (s secured) as(t *testing.T, user string) broker.Config {
	t.Helper()
	c, err := config.Load[broker.Config]([]string{"KAFKA_BROKERS=" + s.users, "KAFKA_TLS=true",
		"KAFKA_CA_FILE=" + s.file("ca.crt"), "KAFKA_SASL_MECHANISM=scram-sha-512", "KAFKA_SASL_USER=" + user,
		"KAFKA_SASL_PASSWORD_FILE=" + s.file(user+".kafka-password"), "KAFKA_REPLICATION_FACTOR=1", "KAFKA_PROVISIONED=true"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// client is one that is not the product's, of a user; of the super user when that is empty.
func (s secured) client(t *testing.T, user string) *kgo.Client {
	t.Helper()
	opts := []kgo.Opt{kgo.SeedBrokers(s.open)}
	if user != "" {
		password, err := os.ReadFile(s.file(user + ".kafka-password"))
		if err != nil {
			t.Fatal(err)
		}
		pem, err := os.ReadFile(s.file("ca.crt"))
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		login := scram.Auth{User: user, Pass: strings.TrimSpace(string(password))}
		opts = []kgo.Opt{kgo.SeedBrokers(s.users), kgo.SASL(login.AsSha512Mechanism()),
			kgo.DialTLSConfig(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12})}
	}
	// Versions in which topics still have names everywhere.
	c, err := kgo.NewClient(append(opts, kgo.MaxVersions(kversion.V2_8_0()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// until calls try until it is true.
func until(t *testing.T, what string, try func(context.Context) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for !try(ctx) {
		select {
		case <-ctx.Done():
			t.Fatalf("not within a minute: %s", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
