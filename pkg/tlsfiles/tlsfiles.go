// Package tlsfiles connects by TLS with certificates from PEM files. They are read again for each connection, so that
// one that is renewed needs no restart.
package tlsfiles

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
)

// Files of one peer's connections.
type Files struct {
	// Prefix of the variables that name the files, for errors: KAFKA_ for KAFKA_CA_FILE.
	Prefix string
	// CA is the authority of the servers; empty for the system's.
	CA string
	// Cert and Key are what this client shows; empty for nothing.
	Cert, Key string
	// ServerName that the servers' certificates must carry; empty for the host that is dialled.
	ServerName string
}

// Read returns what the files say now; an error is Invalid and names the variable.
func (f Files) Read() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: f.ServerName}
	if f.CA != "" {
		pem, err := os.ReadFile(f.CA)
		if err != nil {
			return nil, fault.Field(f.Prefix+"CA_FILE", "%w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fault.Field(f.Prefix+"CA_FILE", "%s holds no PEM certificate", f.CA)
		}
	}
	if (f.Cert == "") != (f.Key == "") {
		return nil, fault.Field(f.Prefix+"CERT_FILE", "and %sKEY_FILE go together: set both or none", f.Prefix)
	}
	if f.Cert != "" {
		pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
		if err != nil {
			return nil, fault.Field(f.Prefix+"CERT_FILE", "%w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// handshakeWithin bounds a handshake, which is not in the dialer's time: a broker that has just started, and is asked
// by everybody at once, takes longer for it than to accept a connection. Given up too soon, all of them begin again.
const handshakeWithin = 5 * time.Second

// DialContext is d's, and then a handshake.
func (f Files) DialContext(d *net.Dialer) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := f.Read()
		if err != nil {
			return nil, err
		}
		raw, err := d.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		if c.ServerName == "" {
			c.ServerName, _, _ = net.SplitHostPort(addr) // d has dialled it
		}
		ctx, cancel := context.WithTimeout(ctx, handshakeWithin)
		defer cancel()
		conn := tls.Client(raw, c)
		if err := conn.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, raw.Close())
		}
		return conn, nil
	}
}
