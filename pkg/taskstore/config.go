package taskstore

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// Config says where Redis is. Several addresses mean a Redis Cluster.
type Config struct {
	Addrs    []string `env:"REDIS_ADDRS" envDefault:"127.0.0.1:6379" help:"addresses of Redis, host:port separated by commas; more than one means a Redis Cluster. Must not evict keys (maxmemory-policy noeviction)"`
	Username string   `env:"REDIS_USERNAME" help:"ACL user; empty for the default user"`
	Password string   `env:"REDIS_PASSWORD" secret:"true" help:"password of the user; empty for none"`
	TLS      bool     `env:"REDIS_TLS" envDefault:"false" help:"talk TLS to Redis"`
	CAFile   string   `env:"REDIS_CA_FILE" help:"PEM file with the certificate authority of the servers; empty for the system's"`
}

// silent is a logger of the client that says nothing.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// Client opens a client; it connects when first used.
func (c Config) Client() (redis.UniversalClient, error) {
	if len(c.Addrs) == 0 {
		return nil, fault.Field("REDIS_ADDRS", "must name at least one host:port")
	}
	o := &redis.UniversalOptions{
		Addrs: c.Addrs, Username: c.Username, Password: c.Password,
		// A Redis that takes connections and says nothing costs a caller no more than its own deadline.
		ContextTimeoutEnabled: true,
	}
	if c.TLS {
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		if c.CAFile != "" {
			pem, err := os.ReadFile(c.CAFile)
			if err != nil {
				return nil, fault.Field("REDIS_CA_FILE", "%w", err)
			}
			o.TLSConfig.RootCAs = x509.NewCertPool()
			if !o.TLSConfig.RootCAs.AppendCertsFromPEM(pem) {
				return nil, fault.Field("REDIS_CA_FILE", "%s holds no PEM certificate", c.CAFile)
			}
		}
	}
	redis.SetLogger(silent{}) // its users say in one line that Redis is away; the client would say it at every try
	return redis.NewUniversalClient(o), nil
}
