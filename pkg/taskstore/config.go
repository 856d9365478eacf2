package taskstore

import (
	"context"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/config"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/tlsfiles"
)

// Config says where Redis is. Several addresses mean a Redis Cluster.
type Config struct {
	Addrs    []string      `env:"REDIS_ADDRS" envDefault:"127.0.0.1:6379" help:"addresses of Redis, host:port separated by commas; more than one means a Redis Cluster. Must not evict keys (maxmemory-policy noeviction)"`
	Username string        `env:"REDIS_USERNAME" help:"ACL user; empty for the default user"`
	Password config.Secret `env:"REDIS_PASSWORD" help:"password of the user; empty for none"`
	TLS      bool          `env:"REDIS_TLS" envDefault:"false" help:"talk TLS to Redis"`
	CAFile   string        `env:"REDIS_CA_FILE" help:"PEM file with the certificate authority of the servers; empty for the system's"`
	CertFile string        `env:"REDIS_CERT_FILE" help:"PEM file with the certificate that this client shows; empty for none. Needs REDIS_TLS and REDIS_KEY_FILE"`
	KeyFile  string        `env:"REDIS_KEY_FILE" help:"PEM file with the key of REDIS_CERT_FILE"`
}

// dialWithin bounds the opening of a connection.
const dialWithin = 5 * time.Second

// silent is a logger of the client that says nothing.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// Client opens a client; it connects when first used.
func (c Config) Client() (redis.UniversalClient, error) {
	if len(c.Addrs) == 0 {
		return nil, fault.Field("REDIS_ADDRS", "must name at least one host:port")
	}
	o := &redis.UniversalOptions{
		Addrs: c.Addrs,
		// A Redis that takes connections and says nothing costs a caller no more than its own deadline.
		ContextTimeoutEnabled: true,
		DisableIdentity:       true, // a user needs no right to tell its client's name
		// Asked for each connection, so that a password that was rotated is taken.
		CredentialsProviderContext: func(context.Context) (user, password string, err error) {
			password, err = c.Password.Read()
			return c.Username, password, err
		},
	}
	if c.TLS {
		files := tlsfiles.Files{Prefix: "REDIS_", CA: c.CAFile, Cert: c.CertFile, Key: c.KeyFile}
		if _, err := files.Read(); err != nil {
			return nil, err
		}
		o.Dialer = files.DialContext(&net.Dialer{Timeout: dialWithin, KeepAlive: 5 * time.Minute})
	}
	redis.SetLogger(silent{}) // its users say in one line that Redis is away; the client would say it at every try
	return redis.NewUniversalClient(o), nil
}
