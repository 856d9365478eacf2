package broker_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
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
	certificate, ca := selfSigned(t)
	for mechanism, method := range map[string]string{"none": "", "plain": "PLAIN", "scram-sha-256": "SCRAM-SHA-256", "scram-sha-512": "SCRAM-SHA-512"} {
		t.Run(mechanism, func(t *testing.T) {
			opts := []kfake.Opt{kfake.TLS(&tls.Config{Certificates: []tls.Certificate{certificate}})}
			cfg := broker.Config{TLS: true, CAFile: ca, ReplicationFactor: 1, SASLMechanism: mechanism}
			if method != "" {
				opts = append(opts, kfake.EnableSASL(), kfake.Superuser(method, "troupe", "secret"))
				cfg.SASLUser, cfg.SASLPassword = "troupe", "secret"
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
			if err := rounds(t, named); fault.ClassOf(err) != fault.Permanent {
				t.Errorf("with another server name: %v, want a permanent error", err)
			}
			if err := join(t.Context(), open(t, named)); fault.ClassOf(err) != fault.Permanent {
				t.Errorf("join with another server name: %v, want a permanent error", err)
			}
			unknown := cfg
			unknown.CAFile = ""
			if err := rounds(t, unknown); fault.ClassOf(err) != fault.Permanent {
				t.Errorf("without the authority: %v, want a permanent error", err)
			}
			if method == "" {
				return
			}
			wrong := cfg
			wrong.SASLPassword = "wrong"
			cluster.ControlKey(int16(kmsg.SASLAuthenticate), func(kmsg.Request) (kmsg.Response, error, bool) {
				cluster.KeepControl() // kfake would close the connection; Kafka says why
				refusal := kmsg.NewPtrSASLAuthenticateResponse()
				refusal.Version, refusal.ErrorCode = 1, kerr.SaslAuthenticationFailed.Code
				return refusal, nil, true
			})
			if err := rounds(t, wrong); fault.ClassOf(err) != fault.Permanent {
				t.Errorf("with a wrong password: %v, want a permanent error", err)
			}
		})
	}
}
