package tlsfiles_test

import (
	"crypto/tls"
	"encoding/pem"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/tlsfiles"
)

// The time of the dialer is that of the connection: a server that has accepted it, and is slow to shake hands, is waited for.
func TestAHandshakeMayTakeLongerThanADial(t *testing.T) {
	const dialWithin = 500 * time.Millisecond
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	go func() { // ends with the listener
		raw, err := ln.Accept()
		if err != nil {
			return
		}
		time.Sleep(2 * dialWithin) //nolint:forbidigo // a slow server
		_ = tls.Server(raw, &tls.Config{Certificates: server.TLS.Certificates, MinVersion: tls.VersionTLS12}).Handshake()
	}()
	conn, err := tlsfiles.Files{CA: ca}.DialContext(&net.Dialer{Timeout: dialWithin})(t.Context(), "tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
}
