package broker

import (
	"cmp"
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/segmentio/kafka-go/compress"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
	"github.com/troupe-dev/troupe/pkg/config"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/tlsfiles"
)

// Config says where Kafka is and how to talk to it. The zero value of a field means its default, except for Brokers,
// which is required.
type Config struct {
	Brokers    []string `env:"KAFKA_BROKERS" envDefault:"127.0.0.1:9092" help:"brokers to start from, host:port separated by commas; the others are found through them"`
	TLS        bool     `env:"KAFKA_TLS" envDefault:"false" help:"talk TLS to the brokers"`
	CAFile     string   `env:"KAFKA_CA_FILE" help:"PEM file with the certificate authority of the brokers; empty for the system's. Needs KAFKA_TLS"`
	CertFile   string   `env:"KAFKA_CERT_FILE" help:"PEM file with the certificate that this client shows; empty for none. Needs KAFKA_TLS and KAFKA_KEY_FILE"`
	KeyFile    string   `env:"KAFKA_KEY_FILE" help:"PEM file with the key of KAFKA_CERT_FILE"`
	ServerName string   `env:"KAFKA_TLS_SERVER_NAME" help:"name that the brokers' certificates must carry; empty for the host of each address. Needs KAFKA_TLS"`

	SASLMechanism string        `env:"KAFKA_SASL_MECHANISM" envDefault:"none" help:"none, plain, scram-sha-256 or scram-sha-512. plain without KAFKA_TLS sends the password readable"`
	SASLUser      string        `env:"KAFKA_SASL_USER" help:"user name for SASL"`
	SASLPassword  config.Secret `env:"KAFKA_SASL_PASSWORD" help:"password for SASL"`

	Provisioned bool `env:"KAFKA_PROVISIONED" envDefault:"false" help:"topics are made by a provisioner (troupe provision): none is created here, and one that is missing is waited for. So it should be in production, where a service has no right to create"`

	ReplicationFactor int    `env:"KAFKA_REPLICATION_FACTOR" envDefault:"3" min:"1" max:"32767" help:"copies of each log, for topics that are created, and the least for those that exist. 3 or more makes every write wait for 2 copies; with less, the death of a broker can lose what was acknowledged: a demo setting"`
	ClientID          string `env:"KAFKA_CLIENT_ID" envDefault:"troupe" help:"name shown in the brokers' logs and quotas"`
	Compression       string `env:"KAFKA_COMPRESSION" envDefault:"none" oneof:"none gzip snappy lz4 zstd" help:"of what is produced"`

	ProduceTimeout   time.Duration `env:"KAFKA_PRODUCE_TIMEOUT" envDefault:"10s" min:"100ms" max:"5m" help:"how long a write waits for all its copies; after that its outcome is unknown and it is tried again. Delays a stop and a hand-over by as much"`
	MaxWait          time.Duration `env:"KAFKA_MAX_WAIT" envDefault:"500ms" min:"10ms" max:"5s" help:"how long a read waits at the end of the logs. Longer costs less when idle and delays a stop and a hand-over by as much"`
	SessionTimeout   time.Duration `env:"KAFKA_SESSION_TIMEOUT" envDefault:"10s" min:"1s" max:"5m" help:"silence after which the group takes the partitions of an instance away. Brokers refuse less than 6s by default"`
	RebalanceTimeout time.Duration `env:"KAFKA_REBALANCE_TIMEOUT" envDefault:"30s" min:"100ms" max:"1h" help:"how long a rebalance waits for an instance to finish what it has in flight. Must exceed the produce time-out"`
}

// MinInsync is how many copies of a log a write waits for: 2 when there are 3 or more, so that one broker may die; else
// 1.
func (c Config) MinInsync() int {
	if cmp.Or(c.ReplicationFactor, 3) >= 3 {
		return 2
	}
	return 1
}

// heartbeatEvery leaves room for two lost heartbeats before the session ends.
func (c Config) heartbeatEvery() time.Duration { return min(time.Second, c.SessionTimeout/3) }

// compressions that records can be produced with.
var compressions = map[string]compress.Compression{
	"none": compress.None, "gzip": compress.Gzip, "snappy": compress.Snappy, "lz4": compress.Lz4, "zstd": compress.Zstd,
}

// withDefaults gives the fields that are zero their defaults, which are those of the environment variables.
func (c Config) withDefaults() Config {
	c.SASLMechanism = cmp.Or(c.SASLMechanism, "none")
	c.ReplicationFactor = cmp.Or(c.ReplicationFactor, 3)
	c.ClientID = cmp.Or(c.ClientID, "troupe")
	c.Compression = cmp.Or(c.Compression, "none")
	c.ProduceTimeout = cmp.Or(c.ProduceTimeout, 10*time.Second)
	c.MaxWait = cmp.Or(c.MaxWait, 500*time.Millisecond)
	c.SessionTimeout = cmp.Or(c.SessionTimeout, 10*time.Second)
	c.RebalanceTimeout = cmp.Or(c.RebalanceTimeout, 30*time.Second)
	return c
}

// Validate returns all that is wrong beyond the bounds in the tags, each error naming its variable. It reads the files
// that are named.
func (c Config) Validate() error {
	c = c.withDefaults()
	errs := []error{
		fault.FieldIf(len(c.Brokers) == 0, "KAFKA_BROKERS", "must name at least one host:port"),
		fault.FieldIf(c.RebalanceTimeout <= c.ProduceTimeout, "KAFKA_REBALANCE_TIMEOUT",
			"must be longer than KAFKA_PRODUCE_TIMEOUT, is %v", c.RebalanceTimeout),
	}
	for _, b := range c.Brokers {
		host, port, err := net.SplitHostPort(b)
		n, perr := strconv.ParseUint(port, 10, 16)
		errs = append(errs, fault.FieldIf(err != nil || perr != nil || host == "" || n == 0, "KAFKA_BROKERS",
			"%q is not host:port", b))
	}
	for variable, value := range map[string]string{
		"KAFKA_CA_FILE": c.CAFile, "KAFKA_CERT_FILE": c.CertFile, "KAFKA_TLS_SERVER_NAME": c.ServerName,
	} {
		errs = append(errs, fault.FieldIf(!c.TLS && value != "", variable, "is set, but KAFKA_TLS is false"))
	}
	if c.TLS {
		_, err := c.files().Read()
		errs = append(errs, err)
	}
	_, err := c.sasl()
	return errors.Join(append(errs, err)...)
}

func (c Config) files() tlsfiles.Files {
	return tlsfiles.Files{Prefix: "KAFKA_", CA: c.CAFile, Cert: c.CertFile, Key: c.KeyFile, ServerName: c.ServerName}
}

// sasl returns nil for none.
func (c Config) sasl() (sasl.Mechanism, error) {
	_, known := scrams[c.SASLMechanism]
	switch {
	case c.SASLMechanism == "none":
		if c.SASLUser != "" {
			return nil, fault.Field("KAFKA_SASL_USER", "is set, but KAFKA_SASL_MECHANISM is none")
		}
		return nil, nil
	case !known && c.SASLMechanism != plainText:
		return nil, fault.Field("KAFKA_SASL_MECHANISM", "must be none, plain, scram-sha-256 or scram-sha-512, not %q",
			c.SASLMechanism)
	case c.SASLUser == "":
		return nil, fault.Field("KAFKA_SASL_USER", "is required with KAFKA_SASL_MECHANISM %s", c.SASLMechanism)
	case !c.SASLPassword.IsSet():
		return nil, fault.Field("KAFKA_SASL_PASSWORD", "is required with KAFKA_SASL_MECHANISM %s", c.SASLMechanism)
	}
	l := login{c.SASLMechanism, c.SASLUser, c.SASLPassword}
	_, err := l.now()
	return l, err
}

// plainText is the mechanism that sends the password as it is.
const plainText = "plain"

// scrams are the mechanisms that do not.
var scrams = map[string]scram.Algorithm{"scram-sha-256": scram.SHA256, "scram-sha-512": scram.SHA512}

// login is a mechanism with the password as it is when a connection is made.
type login struct {
	mechanism, user string
	password        config.Secret
}

func (l login) now() (sasl.Mechanism, error) {
	password, err := l.password.Read()
	if err != nil {
		return nil, err
	}
	if l.mechanism == plainText {
		return plain.Mechanism{Username: l.user, Password: password}, nil
	}
	m, err := scram.Mechanism(scrams[l.mechanism], l.user, password)
	if err != nil { // it quotes the password
		return nil, fault.Field("KAFKA_SASL_PASSWORD",
			"or KAFKA_SASL_USER holds a character that SASLprep (RFC 4013) forbids")
	}
	return m, nil
}

// Name implements sasl.Mechanism.
func (l login) Name() string { return strings.ToUpper(l.mechanism) }

// Start implements sasl.Mechanism.
func (l login) Start(ctx context.Context) (sasl.StateMachine, []byte, error) {
	m, err := l.now()
	if err != nil {
		return nil, nil, err
	}
	return m.Start(ctx)
}
