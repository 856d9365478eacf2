package mailbox

import (
	"context"
	"net"
	"net/http"
	"net/smtp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/services/troupe/internal/switches"
)

func (b *box) put(body string) {
	b.t.Helper()
	if resp, text := b.do(http.MethodPut, "/control", "application/json", body); resp.StatusCode != 200 {
		b.t.Fatalf("%s: %d %s", body, resp.StatusCode, text)
	}
}

func TestAnOutageHangsUpOnEverybody(t *testing.T) {
	b := start(t, nil)
	open, begun, fresh := b.dial(), b.dial(), b.dial()
	if err := open.Noop(); err != nil { // and so has said hello
		t.Fatal(err)
	}
	if err := begun.Mail("shop@example.com"); err != nil {
		t.Fatal(err)
	}
	b.put(`{"outage": true}`)
	for name, c := range map[string]*smtp.Client{"a connection of before": open, "a new one": fresh} {
		if got := send(c, rawMail("x"), "a@example.com"); code(got) != 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
	if got := begun.Rcpt("a@example.com"); code(got) != 0 {
		t.Errorf("a mail that had begun: %v", got)
	}
	b.put(`{}`)
	if err := send(b.dial(), rawMail("y"), "a@example.com"); err != nil {
		t.Errorf("after the outage: %v", err)
	}
	if l := b.list(""); l.Total != 1 {
		t.Errorf("%+v", l)
	}
}

// oneConn is a listener to which only those connections come that are put in.
type oneConn struct {
	conns  chan net.Conn
	closed sync.Once
}

func (l *oneConn) Accept() (net.Conn, error) {
	if c, ok := <-l.conns; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error {
	l.closed.Do(func() { close(l.conns) })
	return nil
}

func (*oneConn) Addr() net.Addr { return &net.TCPAddr{} }

// An outage that begins while a mail waits takes it with it.
func TestADelayedMailIsNotStoredInAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, err := openStore(t.TempDir(), 10)
		if err != nil {
			t.Fatal(err)
		}
		c := switches.New[Control](time.Now)
		c.Set(Control{DelayMS: 60_000})
		here, there := net.Pipe()
		ln := &oneConn{conns: make(chan net.Conn, 1)}
		ln.conns <- there
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- serveSMTP(ctx, ln, store, c) }() // received below
		answer := make(chan error, 1)
		go func() { // received below
			client, err := smtp.NewClient(here, "mailbox")
			if err == nil {
				err = send(client, rawMail("x"), "a@example.com")
			}
			answer <- err
		}()
		synctest.Wait() // it is held back
		c.Set(Control{Outage: true})
		if err := <-answer; code(err) != 0 {
			t.Errorf("answered %v", err)
		}
		if len(store.all()) != 0 {
			t.Error("it was stored")
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestSomeRecipientsAreRefusedAndSomePutOff(t *testing.T) {
	b := start(t, nil)
	for control, want := range map[string]int{`{"refuse_percent": 100}`: 550, `{"defer_percent": 100}`: 450, `{}`: 250} {
		b.put(control)
		if got := code(send(b.dial(), rawMail("x"), "a@example.com")); got != want {
			t.Errorf("%s: answered %d", control, got)
		}
	}
}

func TestTheControlTakesNoNonsense(t *testing.T) {
	b := start(t, nil)
	for field, value := range map[string]string{"outage": "1", "delay_ms": "60001", "refuse_percent": "101", "defer_percent": "101"} {
		resp, body := b.do(http.MethodPut, "/control", "application/json", `{"`+field+`":`+value+`}`)
		if resp.StatusCode != 400 || !strings.Contains(body, `"field":"/`+field+`"`) {
			t.Errorf("%s: %d %s", field, resp.StatusCode, body)
		}
	}
}

func TestAForeignPageCannotBreakTheMailbox(t *testing.T) {
	b := start(t, nil)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, b.web+"/control", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Origin", "https://elsewhere.example")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 403 {
		t.Errorf("%d", resp.StatusCode)
	}
}
