package mail

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"
)

// server is a mail server whose answers a test decides. Its fields are read under mu.
type server struct {
	addr string
	mu   sync.Mutex
	// What each step answers; nil: as it should be.
	onAuth, onMail, onRcpt, onData error
	// hold, when set, is received from before a mail is answered; holdRcpt, before a recipient is.
	hold, holdRcpt chan struct{}
	// slow is how long each answer to a sender, a recipient or a message takes.
	slow      time.Duration
	password  string
	dials     int
	conns     map[net.Conn]bool
	utf8Asked int
	mails     [][]byte
	to        []string
	arrived   chan struct{} // gets one for each mail whose text is there, before it is answered; nil: nobody wants to know
}

func (s *server) with(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// pause lasts until an answer may be given.
func (s *server) pause(hold *chan struct{}) {
	s.mu.Lock()
	held, slow := *hold, s.slow
	s.mu.Unlock()
	if held != nil {
		<-held
	}
	<-time.After(slow)
}

// kick closes every connection, as a restart does.
func (s *server) kick() {
	s.with(func() {
		for c := range s.conns {
			_ = c.Close()
		}
	})
}

func (s *server) counts() (dials, mails int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dials, len(s.mails)
}

type counted struct {
	net.Listener
	s *server
}

func (c counted) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.s.with(func() { c.s.dials++; c.s.conns[conn] = true })
	}
	return conn, err
}

func serve(t testing.TB, change func(*gosmtp.Server), wrap func(net.Listener) net.Listener) *server {
	t.Helper()
	s := &server{conns: map[net.Conn]bool{}, arrived: make(chan struct{}, 1000)}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = ln.Addr().String()
	smtp := gosmtp.NewServer(gosmtp.BackendFunc(func(*gosmtp.Conn) (gosmtp.Session, error) { return &session{s: s}, nil }))
	smtp.Domain, smtp.AllowInsecureAuth, smtp.EnableSMTPUTF8 = "mail.example.com", true, true
	smtp.ErrorLog = log.New(io.Discard, "", 0)
	if change != nil {
		change(smtp)
	}
	ln = counted{ln, s}
	if wrap != nil {
		ln = wrap(ln)
	}
	served := make(chan error, 1)
	go func() { served <- smtp.Serve(ln) }() // received below
	t.Cleanup(func() {
		_ = smtp.Close()
		if err := <-served; err != nil && !errors.Is(err, net.ErrClosed) {
			t.Errorf("test server: %v", err)
		}
	})
	return s
}

type session struct {
	s  *server
	to []string
}

func (c *session) Reset()        { c.to = nil }
func (c *session) Logout() error { return nil }

func (c *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (c *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		c.s.mu.Lock()
		defer c.s.mu.Unlock()
		if c.s.onAuth == nil && (user != "shop" || password != c.s.password) {
			return gosmtp.ErrAuthFailed
		}
		return c.s.onAuth
	}), nil
}

func (c *session) Mail(_ string, o *gosmtp.MailOptions) error {
	var held chan struct{}
	c.s.pause(&held)
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if o.UTF8 {
		c.s.utf8Asked++
	}
	return c.s.onMail
}

func (c *session) Rcpt(to string, _ *gosmtp.RcptOptions) error {
	c.s.pause(&c.s.holdRcpt)
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.to = append(c.to, to)
	return c.s.onRcpt
}

func (c *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if c.s.arrived != nil {
		c.s.arrived <- struct{}{}
	}
	c.s.pause(&c.s.hold)
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.s.onData == nil {
		c.s.mails, c.s.to = append(c.s.mails, raw), append(c.s.to, c.to...)
	}
	return c.s.onData
}

func answer(code int, text string) error {
	return &gosmtp.SMTPError{Code: code, EnhancedCode: gosmtp.NoEnhancedCode, Message: text}
}

// certificate makes a certificate for 127.0.0.1 and the file that trusts it.
func certificate(t *testing.T) (*tls.Config, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, file
}
