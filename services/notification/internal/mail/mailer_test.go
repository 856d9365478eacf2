package mail

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"
	"github.com/troupe-dev/troupe/pkg/fault"
)

func configFor(addr string) Config {
	return Config{
		Addr: addr, From: "Troupe <orders@troupe.example>", TLS: "opportunistic", Auth: "auto", HELO: "localhost",
		Connections: 2, Timeout: 10 * time.Second,
	}
}

func open(t *testing.T, cfg Config) *Mailer {
	t.Helper()
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

func TestAMailArrivesAsItWasWrittenOverOneConnection(t *testing.T) {
	s := serve(t, nil, nil)
	m := open(t, configFor(s.addr))
	for range 3 {
		if err := m.Send(t.Context(), confirmed()); err != nil {
			t.Fatal(err)
		}
	}
	want := composed(t, confirmed()).raw
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dials != 1 || len(s.mails) != 3 || s.to[0] != "ada@example.com" || s.utf8Asked != 0 {
		t.Errorf("%d connections, %d mails to %v, UTF8 %d times", s.dials, len(s.mails), s.to, s.utf8Asked)
	}
	for i, raw := range s.mails {
		if string(raw) != want {
			t.Errorf("mail %d is not what was written:\n%s", i, raw)
		}
	}
}

func TestEachAnswerHasItsMeaning(t *testing.T) {
	const refusedForGood = fault.Permanent // stands for a *Refused
	const says = "5.1.1 <ada@example.com>: no such user ada@example.com\r\nsays the server"
	for _, tc := range []struct {
		name    string
		set     func(*server)
		class   fault.Class
		trouble bool
	}{
		{"550 to the recipient", func(s *server) { s.onRcpt = answer(550, says) }, refusedForGood, false},
		{"554 to the recipient", func(s *server) { s.onRcpt = answer(554, says) }, refusedForGood, false},
		{"552 to the message", func(s *server) { s.onData = answer(552, says) }, refusedForGood, false},
		{"450 to the recipient", func(s *server) { s.onRcpt = answer(450, says) }, fault.Deferred, false},
		{"451 to the recipient", func(s *server) { s.onRcpt = answer(451, says) }, fault.Deferred, false},
		{"452 to the recipient", func(s *server) { s.onRcpt = answer(452, says) }, fault.Deferred, false},
		{"451 to the message", func(s *server) { s.onData = answer(451, says) }, fault.Deferred, false},
		{"452 to the message", func(s *server) { s.onData = answer(452, says) }, fault.Deferred, false},
		{"421 to the recipient", func(s *server) { s.onRcpt = answer(421, says) }, fault.Unavailable, false},
		{"421 to the message", func(s *server) { s.onData = answer(421, says) }, fault.Unavailable, false},
		{"454 to the recipient", func(s *server) { s.onRcpt = answer(454, says) }, fault.Unavailable, false},
		{"451 to the sender", func(s *server) { s.onMail = answer(451, says) }, fault.Unavailable, false},
		{"550 to the sender", func(s *server) { s.onMail = answer(550, says) }, fault.Unavailable, true},
		{"530 to the recipient", func(s *server) { s.onRcpt = answer(530, says) }, fault.Unavailable, true},
		{"503 to the message", func(s *server) { s.onData = answer(503, says) }, fault.Unavailable, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			logged := captureLog(t)
			s := serve(t, nil, nil)
			m := open(t, configFor(s.addr))
			tc.set(s)
			for range 2 {
				err := m.Send(t.Context(), confirmed())
				var refused *Refused
				var reply *textproto.Error
				forGood := tc.class == refusedForGood
				isRefused := errors.As(err, &refused)
				if isRefused != (forGood || tc.class == fault.Deferred) || isRefused && refused.ForNow == forGood || !errors.As(err, &reply) {
					t.Fatalf("%v", err)
				}
				if !forGood && fault.ClassOf(err) != tc.class {
					t.Errorf("class %v of %v", fault.ClassOf(err), err)
				}
				texts := err.Error()
				if isRefused {
					texts += refused.Reason
				}
				if strings.Contains(texts, "ada@example.com") || strings.ContainsAny(texts, "\r") || !strings.Contains(texts, "5.1.1 (address)") {
					t.Errorf("%q", texts)
				}
			}
			if (m.Ready() != nil) != tc.trouble {
				t.Errorf("ready: %v", m.Ready())
			}
			if n := strings.Count(logged.String(), "level=ERROR"); tc.trouble != (n == 1) || n > 1 {
				t.Errorf("told the operator %d times: %s", n, logged)
			}
			if strings.Contains(logged.String(), "ada@") {
				t.Errorf("an address in the log: %s", logged)
			}
			s.with(func() { s.onMail, s.onRcpt, s.onData = nil, nil, nil })
			if err := m.Send(t.Context(), confirmed()); err != nil || m.Ready() != nil {
				t.Errorf("afterwards: %v, ready: %v", err, m.Ready())
			}
		})
	}
}

// refused sends a mail to somebody and says whether the refusal is for good; the other class there may be is Deferred.
func refused(t *testing.T, m *Mailer, to string) (forGood bool) {
	t.Helper()
	mail := confirmed()
	mail.To = to
	err := m.Send(t.Context(), mail)
	refusal, ok := errors.AsType[*Refused](err)
	if !ok || refusal.ForNow != (fault.ClassOf(err) == fault.Deferred) {
		t.Fatalf("%v of class %s", err, fault.ClassOf(err))
	}
	return !refusal.ForNow
}

// A relay that is not ours any more, or a record of our domain that broke, refuses everybody by policy: nobody's mail
// is given up for it, and the operator hears of it, until one is taken.
func TestARefusalByPolicyWaitsAndIsLoudWhenManyMeetIt(t *testing.T) {
	logged := captureLog(t)
	s := serve(t, nil, nil)
	m := open(t, configFor(s.addr))
	if err := m.Send(t.Context(), confirmed()); err != nil {
		t.Fatal(err)
	}
	s.with(func() {
		s.onRcpt = &gosmtp.SMTPError{Code: 554, EnhancedCode: gosmtp.EnhancedCode{5, 7, 1}, Message: "relay access denied"}
	})
	for n, to := range []string{"ada@example.com", "ada@example.com", "bob@example.com", "eve@example.com", "ada@example.com"} {
		if refused(t, m, to) {
			t.Errorf("refusal %d is for good", n+1)
		}
		if ready := m.Ready(); (ready == nil) != (n < 3) {
			t.Errorf("after %d refusals: %v", n+1, ready)
		}
	}
	// That an address is unknown is no sign that others are taken.
	s.with(func() { s.onRcpt = answer(550, "5.1.1 no such user") })
	if !refused(t, m, "bob@example.com") || m.Ready() == nil {
		t.Errorf("an unknown address ends the trouble: %v", m.Ready())
	}
	if n := strings.Count(logged.String(), "level=ERROR"); n != 1 || strings.Contains(logged.String(), "accepts this service") {
		t.Errorf("told the operator %d times: %s", n, logged)
	}
	s.with(func() { s.onRcpt = nil })
	if err := m.Send(t.Context(), confirmed()); err != nil || m.Ready() != nil {
		t.Errorf("afterwards: %v, ready: %v", err, m.Ready())
	}
}

// "550 relay not permitted" and "550 unknown user" are the same without an enhanced code: it is the recipient's only
// while others' mails are taken.
func TestARefusalThatNamesNothingIsForGoodWhileOthersAreTaken(t *testing.T) {
	s := serve(t, nil, nil)
	m := open(t, configFor(s.addr))
	s.with(func() { s.onRcpt = answer(550, "relay not permitted") })
	if refused(t, m, "ada@example.com") {
		t.Error("for good, and nobody's mail was ever taken")
	}
	s.with(func() { s.onRcpt = nil })
	if err := m.Send(t.Context(), confirmed()); err != nil {
		t.Fatal(err)
	}
	s.with(func() { s.onRcpt = answer(550, "relay not permitted") })
	for n, to := range []string{"ada@example.com", "bob@example.com", "eve@example.com", "ada@example.com"} {
		if forGood := refused(t, m, to); forGood != (n < 2) || (m.Ready() == nil) != (n < 2) {
			t.Errorf("refusal %d since a mail was taken: for good: %v, ready: %v", n+1, forGood, m.Ready())
		}
	}
}

// What the server says of an address is believed, however many are mistyped; what it says of the sender's is not the
// recipient's.
func TestARefusalNamesItsSide(t *testing.T) {
	for text, ofRecipient := range map[string]bool{
		"5.1.1 no such user": true, "5.1.10 null MX": true, "5.2.1 mailbox disabled": true, "5.2.2 mailbox full": true,
		"5.1.8 sender's domain not found": false, "5.1.7 sender's address": false, "5.3.0 no": false, "5.7.26 no DKIM": false, "no": false,
	} {
		s := serve(t, nil, nil)
		m := open(t, configFor(s.addr))
		s.with(func() { s.onRcpt = answer(550, text) })
		for _, to := range []string{"ada@example.com", "bob@example.com", "eve@example.com", "joe@example.com"} {
			if refused(t, m, to) != ofRecipient {
				t.Errorf("%s: for good: %v", text, !ofRecipient)
			}
		}
		if (m.Ready() == nil) != ofRecipient {
			t.Errorf("%s: ready: %v", text, m.Ready())
		}
	}
}

func TestARefusalKeepsTheConnection(t *testing.T) {
	s := serve(t, nil, nil)
	m := open(t, configFor(s.addr))
	for _, a := range []error{answer(550, "no"), answer(450, "not now"), nil} {
		s.with(func() { s.onRcpt = a })
		if err := m.Send(t.Context(), confirmed()); (err == nil) != (a == nil) {
			t.Fatal(err)
		}
	}
	if dials, mails := s.counts(); dials != 1 || mails != 1 {
		t.Errorf("%d connections, %d mails", dials, mails)
	}
}

func TestARestartedServerIsMetWithAFreshConnectionAtOnce(t *testing.T) {
	s := serve(t, nil, nil)
	m := open(t, configFor(s.addr))
	hold := make(chan struct{})
	s.with(func() { s.hold = hold })
	var senders sync.WaitGroup
	for range 2 {
		senders.Go(func() {
			if err := m.Send(t.Context(), confirmed()); err != nil {
				t.Error(err)
			}
		})
	}
	<-s.arrived
	<-s.arrived // two connections are in use; both are idle after this:
	close(hold)
	senders.Wait()
	s.kick()
	for range 2 {
		if err := m.Send(t.Context(), confirmed()); err != nil {
			t.Errorf("after the restart: %v", err)
		}
	}
	if dials, mails := s.counts(); dials != 3 || mails != 4 {
		t.Errorf("%d connections, %d mails", dials, mails)
	}
}

func TestNoServerMeansUnavailable(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	m := open(t, configFor(ln.Addr().String()))
	if err := m.Send(t.Context(), confirmed()); fault.ClassOf(err) != fault.Unavailable {
		t.Errorf("%v", err)
	}
	if m.Ready() != nil {
		t.Errorf("an outage is not the operator's fault: %v", m.Ready())
	}
}

func TestASilentServerMeansUnavailableInTime(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	cfg := configFor(ln.Addr().String())
	cfg.Timeout = 100 * time.Millisecond
	if err := open(t, cfg).Send(t.Context(), confirmed()); fault.ClassOf(err) != fault.Unavailable {
		t.Errorf("%v", err)
	}
}

// The server takes the mail whether or not its answer is waited for: who hangs up early sends it again, and again.
func TestTheAnswerToAMessageIsWaitedForLongerThanOthers(t *testing.T) {
	s := serve(t, nil, nil)
	hold := make(chan struct{})
	s.with(func() { s.hold = hold })
	cfg := configFor(s.addr)
	cfg.Timeout = time.Second
	m := open(t, cfg)
	sent := make(chan error, 1)
	go func() { sent <- m.Send(t.Context(), confirmed()) }() // received below
	<-s.arrived
	select {
	case err := <-sent:
		t.Errorf("not waited for: %v", err)
		close(hold)
	case <-time.After(2 * cfg.Timeout):
		close(hold)
		if err := <-sent; err != nil {
			t.Error(err)
		}
	}
}

// All steps together may take longer than the time that each has.
func TestEachStepHasATimeOfItsOwn(t *testing.T) {
	s := serve(t, nil, nil)
	s.slow = 2400 * time.Millisecond
	cfg := configFor(s.addr)
	cfg.Timeout = 4 * time.Second
	if err := open(t, cfg).Send(t.Context(), confirmed()); err != nil {
		t.Error(err)
	}
}

// A relay that asks the recipient's own server first makes us wait for anybody's domain: that mail waits alone.
func TestNoAnswerToARecipientIsOfThatMailAlone(t *testing.T) {
	s := serve(t, nil, nil)
	hold := make(chan struct{})
	s.with(func() { s.holdRcpt = hold })
	defer close(hold)
	cfg := configFor(s.addr)
	cfg.Timeout = time.Second
	m := open(t, cfg)
	if refused(t, m, "ada@tarpit.example") || m.Ready() != nil {
		t.Errorf("for good, or not ready: %v", m.Ready())
	}
	s.with(func() { s.holdRcpt = nil })
	if err := m.Send(t.Context(), confirmed()); err != nil {
		t.Errorf("another's: %v", err)
	}
}

func TestSendEndsWithItsContext(t *testing.T) {
	s := serve(t, nil, nil)
	hold := make(chan struct{})
	s.with(func() { s.hold = hold })
	defer close(hold)
	cfg := configFor(s.addr)
	cfg.Connections, cfg.Timeout = 1, 5*time.Minute
	m := open(t, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() { ended <- m.Send(ctx, confirmed()) }() // received below
	<-s.arrived                                       // this one waits for its answer,
	go func() { ended <- m.Send(ctx, confirmed()) }() // this one for the connection
	cancel()
	for range 2 {
		if err := <-ended; fault.ClassOf(err) != fault.Unavailable {
			t.Errorf("%v", err)
		}
	}
	if dials, _ := s.counts(); dials != 1 {
		t.Errorf("%d connections", dials)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	s := serve(t, nil, nil)
	hold := make(chan struct{})
	s.with(func() { s.hold = hold })
	m := open(t, configFor(s.addr)) // two
	var senders sync.WaitGroup
	for range 20 {
		senders.Go(func() {
			if err := m.Send(t.Context(), confirmed()); err != nil {
				t.Error(err)
			}
		})
	}
	<-s.arrived
	<-s.arrived
	close(hold)
	senders.Wait()
	if dials, mails := s.counts(); dials != 2 || mails != 20 {
		t.Errorf("%d connections, %d mails", dials, mails)
	}
}

func TestAddressesOutsideASCII(t *testing.T) {
	for _, supported := range []bool{true, false} {
		s := serve(t, func(v *gosmtp.Server) { v.EnableSMTPUTF8 = supported }, nil)
		m := open(t, configFor(s.addr))
		mail := confirmed()
		mail.To = "grüße@example.com"
		err := m.Send(t.Context(), mail)
		var refused *Refused
		if supported && (err != nil || s.utf8Asked != 1 || s.to[0] != mail.To) || !supported && !errors.As(err, &refused) {
			t.Errorf("supported %v: %v, %v", supported, err, s.to)
		}
	}
}

func TestWhatIsNoAddressIsRefusedUnsent(t *testing.T) {
	m := open(t, configFor("127.0.0.1:1"))
	for _, to := range []string{"", "ada@example.com\r\nRCPT TO:<eve@example.com>", strings.Repeat("a", 400) + "@example.com"} {
		mail := confirmed()
		mail.To = to
		var refused *Refused
		if err := m.Send(t.Context(), mail); !errors.As(err, &refused) {
			t.Errorf("%q: %v", to, err)
		}
	}
}

func BenchmarkSend(b *testing.B) {
	s := serve(b, nil, nil)
	s.arrived = nil
	cfg := configFor(s.addr)
	cfg.Connections = 16
	m, err := New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := m.Send(b.Context(), confirmed()); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "mails/s")
}

func captureLog(t *testing.T) *bytes.Buffer {
	old := slog.Default()
	t.Cleanup(func() { slog.SetDefault(old) })
	var b bytes.Buffer
	slog.SetDefault(slog.New(slog.NewTextHandler(&b, nil)))
	return &b
}
