package broker_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/pkg/config"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// selfSigned returns a certificate for 127.0.0.1 and the file that makes clients trust it.
func selfSigned(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kafka"}, IsCA: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"kafka.internal"},
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, writePEM(t, "ca.pem", "CERTIFICATE", der)
}

// rounds goes once through both network stacks: topics, a record there and back, and a group.
func rounds(t *testing.T, cfg broker.Config) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c := open(t, cfg)
	if err := c.Provision(ctx, []broker.Topic{{Name: "a", Partitions: 1}}); err != nil {
		return err
	}
	tp := broker.TopicPartition{Topic: "a"}
	var err error
	c.Produce(ctx, []broker.Batch{{TopicPartition: tp, Records: []broker.Record{{Key: []byte("k")}}}},
		func(p broker.Produced) { err = p.Err })
	if err != nil {
		return err
	}
	fetched, err := c.Fetch(ctx, []broker.Position{{TopicPartition: tp}})
	if err != nil {
		return err
	}
	if len(fetched) != 1 || len(fetched[0].Records) == 0 {
		t.Errorf("fetched %+v", fetched)
	}
	return join(ctx, c)
}

// join serves one generation and leaves.
func join(ctx context.Context, c *broker.Client) error {
	serving, leave := context.WithCancel(ctx)
	defer leave()
	return c.Join(serving, "g", []string{"a"}, 1, func(_ context.Context, g broker.Generation) error {
		defer leave()
		if err := g.Holds(ctx); err != nil {
			return fault.As(fault.Permanent, err)
		}
		return g.Commit(ctx, map[broker.TopicPartition]int64{{Topic: "a"}: 1})
	})
}

func TestTLSAndSASLReachBothNetworkStacks(t *testing.T) {
	t.Parallel()
	certificate, ca := selfSigned(t)
	for mechanism, method := range map[string]string{"none": "", "plain": "PLAIN", "scram-sha-256": "SCRAM-SHA-256", "scram-sha-512": "SCRAM-SHA-512"} {
		t.Run(mechanism, func(t *testing.T) {
			opts := []kfake.Opt{kfake.TLS(&tls.Config{Certificates: []tls.Certificate{certificate}})}
			cfg := broker.Config{TLS: true, CAFile: ca, ReplicationFactor: 1, SASLMechanism: mechanism}
			if method != "" {
				opts = append(opts, kfake.EnableSASL(), kfake.Superuser(method, "troupe", "secret"))
				cfg.SASLUser, cfg.SASLPassword = "troupe", config.NewSecret("secret")
			}
			cluster := brokertest.Embedded(t, opts...)
			cfg.Brokers = cluster.ListenAddrs()
			if err := rounds(t, cfg); err != nil {
				t.Errorf("with the right settings: %v", err)
			}
			named := cfg
			named.ServerName = "kafka.internal"
			if err := rounds(t, named); err != nil {
				t.Errorf("with a server name of the certificate: %v", err)
			}
			named.ServerName = "other.internal"
			if err := rounds(t, named); fault.ClassOf(err) != fault.Unavailable {
				t.Errorf("with another server name: %v, want to wait", err)
			}
			unknown := cfg
			unknown.CAFile = ""
			if err := rounds(t, unknown); fault.ClassOf(err) != fault.Unavailable {
				t.Errorf("without the authority: %v, want to wait", err)
			}
			if method == "" {
				return
			}
			wrong := cfg
			wrong.SASLPassword = config.NewSecret("wrong")
			cluster.ControlKey(int16(kmsg.SASLAuthenticate), func(kmsg.Request) (kmsg.Response, error, bool) {
				cluster.KeepControl() // kfake would close the connection; Kafka says why
				refusal := kmsg.NewPtrSASLAuthenticateResponse()
				refusal.Version, refusal.ErrorCode = 1, kerr.SaslAuthenticationFailed.Code
				return refusal, nil, true
			})
			if err := rounds(t, wrong); fault.ClassOf(err) != fault.Unavailable {
				t.Errorf("with a wrong password: %v, want to wait", err)
			}
		})
	}
}

// Whoever rotates a password or an authority does it while services run, and at the brokers and in their files at
// different moments: a service waits, and goes on by itself.
func TestWhatIsRotatedIsTakenWithoutARestart(t *testing.T) {
	certificate, ca := selfSigned(t)
	_, other := selfSigned(t)
	right, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	password := writeFile(t, "password", "right")
	cluster := brokertest.Embedded(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{certificate}}),
		kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "troupe", "right"))
	settings, err := config.Load[broker.Config]([]string{"KAFKA_BROKERS=" + cluster.ListenAddrs()[0], "KAFKA_TLS=true",
		"KAFKA_CA_FILE=" + other, "KAFKA_SASL_MECHANISM=scram-sha-512", "KAFKA_SASL_USER=troupe",
		"KAFKA_SASL_PASSWORD_FILE=" + password, "KAFKA_REPLICATION_FACTOR=1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(password, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := open(t, settings)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	provision := func() error { return c.Provision(ctx, []broker.Topic{{Name: "a", Partitions: 1}}) }
	if err := provision(); fault.ClassOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "unknown authority") {
		t.Fatalf("with another authority: %v, want to wait", err)
	}
	if err := os.WriteFile(other, right, 0o600); err != nil {
		t.Fatal(err)
	}
	for err = provision(); err != nil && strings.Contains(err.Error(), "unknown authority"); {
		err = provision()
	}
	if fault.ClassOf(err) != fault.Unavailable || err == nil {
		t.Fatalf("with an old password: %v, want to wait", err)
	}
	if err := os.WriteFile(password, []byte("right"), 0o600); err != nil {
		t.Fatal(err)
	}
	for err = provision(); err != nil; err = provision() {
		if fault.ClassOf(err) != fault.Unavailable || ctx.Err() != nil {
			t.Fatalf("with the new password: %v", err)
		}
	}
	if err := join(ctx, c); err != nil {
		t.Errorf("join: %v", err)
	}
}

// A connection that takes longer to make than any request waits is made all the same, and the next request has it.
func TestAConnectionOutlivesTheRequestThatWantedIt(t *testing.T) {
	const shakes, waits = time.Second, 250 * time.Millisecond
	certificate, ca := selfSigned(t)
	cluster := brokertest.Embedded(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{certificate},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			time.Sleep(shakes) //nolint:forbidigo // a broker that is slow at it
			return nil, nil
		}}))
	c := open(t, broker.Config{Brokers: cluster.ListenAddrs(), TLS: true, CAFile: ca, ReplicationFactor: 1})
	ask := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), waits)
		defer cancel()
		_, err := c.Identities(ctx, []string{"a"})
		return err
	}
	err := ask()
	for limit := time.Now().Add(20 * shakes); err != nil && time.Now().Before(limit); {
		err = ask()
	}
	if err != nil {
		t.Errorf("nobody gets in: %v", err)
	}
}

// A grant that is taken away is an outage of that topic: said once, never the fault of what is written.
func TestARefusedTopicIsWaitedForAndSaidOnce(t *testing.T) {
	logs := capture(t)
	cluster := brokertest.Embedded(t)
	c := open(t, broker.Config{Brokers: cluster.ListenAddrs(), ReplicationFactor: 1})
	if err := c.Provision(t.Context(), []broker.Topic{{Name: "a", Partitions: 1}}); err != nil {
		t.Fatal(err)
	}
	produce := func() (err error) {
		c.Produce(t.Context(), []broker.Batch{{TopicPartition: broker.TopicPartition{Topic: "a"},
			Records: []broker.Record{{Key: []byte("k")}}}}, func(p broker.Produced) { err = p.Err })
		return err
	}
	refused := 0
	cluster.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		if refused++; refused <= 3 {
			cluster.KeepControl()
			answer := r.ResponseKind().(*kmsg.ProduceResponse)
			answer.Topics = []kmsg.ProduceResponseTopic{{Topic: "a",
				Partitions: []kmsg.ProduceResponseTopicPartition{{ErrorCode: kerr.TopicAuthorizationFailed.Code}}}}
			return answer, nil, true
		}
		return nil, nil, false
	})
	for range 3 {
		if err := produce(); fault.ClassOf(err) != fault.Permanent {
			t.Fatalf("refused: %v, want to be told", err)
		}
	}
	if err := produce(); err != nil {
		t.Fatal(err)
	}
	said := logs()
	if strings.Count(said, "waiting for kafka") != 1 || strings.Count(said, "kafka is back") != 1 ||
		!strings.Contains(said, "write topic a") {
		t.Errorf("said:\n%s", said)
	}
}

// capture returns what the process logs from now on.
func capture(t *testing.T) func() string {
	t.Helper()
	var mu sync.Mutex
	var b strings.Builder
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(writer(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return b.Write(p)
	}), nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		return b.String()
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
