package mailbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/smtp"
	"net/textproto"
	"strings"
	"sync"
	"testing"

	"github.com/troupe-dev/troupe/pkg/config"
)

// box is a mailbox that runs in this process.
type box struct {
	t    *testing.T
	smtp string
	web  string
	stop func() error // once; also called when the test ends
}

func start(t *testing.T, change func(*Config)) *box {
	t.Helper()
	cfg := Config{SMTPAddr: "127.0.0.1:0", HTTPAddr: "127.0.0.1:0", Dir: t.TempDir(), MaxMessages: 10_000}
	if change != nil {
		change(&cfg)
	}
	b := &box{t: t}
	listening := make(chan struct{})
	cfg.Listening = func(mail, web net.Addr) {
		b.smtp, b.web = mail.String(), "http://"+web.String()
		close(listening)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, cfg) }() // stop waits for it
	b.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() {
		if err := b.stop(); err != nil {
			t.Errorf("mailbox ended with %v", err)
		}
	})
	select {
	case <-listening:
	case err := <-ended:
		t.Fatalf("mailbox did not start: %v", err)
	}
	return b
}

func (b *box) dial() *smtp.Client {
	b.t.Helper()
	c, err := smtp.Dial(b.smtp)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = c.Close() })
	return c
}

// send says one mail on a connection and returns the first answer that is an error.
func send(c *smtp.Client, raw []byte, to ...string) error {
	if err := c.Mail("shop@example.com"); err != nil {
		return err
	}
	for _, rcpt := range to {
		if err := c.Rcpt(rcpt); err != nil {
			return errors.Join(err, c.Reset())
		}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(raw); err != nil {
		return err
	}
	return w.Close()
}

func code(err error) int {
	var p *textproto.Error
	if errors.As(err, &p) {
		return p.Code
	}
	if err == nil {
		return 250
	}
	return 0
}

func (b *box) do(method, path, contentType, body string) (*http.Response, string) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.web+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp, string(text)
}

func (b *box) list(query string) List {
	b.t.Helper()
	resp, body := b.do(http.MethodGet, "/api/messages"+query, "", "")
	var l List
	if err := json.Unmarshal([]byte(body), &l); err != nil || resp.StatusCode != 200 {
		b.t.Fatalf("%s: %d %s", query, resp.StatusCode, body)
	}
	return l
}

const multipartMail = "Message-ID: <abc@troupe.example>\r\nDate: Mon, 02 Jan 2006 15:04:05 +0000\r\n" +
	"Subject: =?UTF-8?q?Gr=C3=BC=C3=9Fe?=\r\nFrom: Shop <shop@example.com>\r\nTo: ada@example.com\r\nMIME-Version: 1.0\r\n" +
	"Content-Type: multipart/alternative; boundary=b1\r\n\r\n" +
	"--b1\r\nContent-Type: text/plain; charset=UTF-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe <script>\r\n" +
	"--b1\r\nContent-Type: text/html; charset=UTF-8\r\nContent-Transfer-Encoding: base64\r\n\r\nPGI+R3LDvMOfZTwvYj48c2NyaXB0PmFsZXJ0KDEpPC9zY3JpcHQ+\r\n" +
	"--b1--\r\n"

func TestAMailCanBeRead(t *testing.T) {
	b := start(t, nil)
	if err := send(b.dial(), []byte(multipartMail), "ada@example.com", "bob@example.com"); err != nil {
		t.Fatal(err)
	}
	l := b.list("")
	if l.Total != 1 || len(l.Messages) != 1 {
		t.Fatalf("%+v", l)
	}
	m := l.Messages[0]
	if m.MessageID != "abc@troupe.example" || m.Subject != "Grüße" || m.From != "shop@example.com" || len(m.To) != 2 || m.Size != len(multipartMail) {
		t.Errorf("%+v", m)
	}
	mail := decode(m, []byte(multipartMail))
	if mail.Text != "Grüße <script>" || mail.HTML != "<b>Grüße</b><script>alert(1)</script>" {
		t.Errorf("%+v", mail)
	}
}

func TestTheStoreComesBackAfterARestart(t *testing.T) {
	dir := t.TempDir()
	first := start(t, func(c *Config) { c.Dir = dir })
	if err := send(first.dial(), rawMail("one"), "a@example.com"); err != nil {
		t.Fatal(err)
	}
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	second := start(t, func(c *Config) { c.Dir = dir })
	if err := send(second.dial(), rawMail("two"), "a@example.com"); err != nil {
		t.Fatal(err)
	}
	if l := second.list(""); l.Total != 2 || l.Messages[0].MessageID != "one" || l.Messages[1].ID != 2 {
		t.Errorf("%+v", l)
	}
}

func TestAFullMailboxAnswersSo(t *testing.T) {
	b := start(t, func(c *Config) { c.MaxMessages = 1 })
	c := b.dial()
	for _, want := range []int{250, 452} {
		if got := code(send(c, rawMail("x"), "a@example.com")); got != want {
			t.Errorf("answered %d, want %d", got, want)
		}
	}
	if l := b.list(""); l.Total != 1 {
		t.Errorf("%+v", l)
	}
}

func TestLimitsOfAMail(t *testing.T) {
	b := start(t, nil)
	c := b.dial()
	if got := code(send(c, bytes.Repeat([]byte("0123456\r\n"), maxMessageBytes/9+1), "a@example.com")); got != 552 {
		t.Errorf("too large: %d", got)
	}
	many := make([]string, maxRecipients+1)
	for i := range many {
		many[i] = fmt.Sprint("r", i, "@example.com")
	}
	if got := code(send(c, rawMail("x"), many...)); got != 452 {
		t.Errorf("too many recipients: %d", got)
	}
	if err := send(c, rawMail("x"), many[:maxRecipients]...); err != nil {
		t.Errorf("as many as may be, on the same connection: %v", err)
	}
	if l := b.list(""); l.Total != 1 {
		t.Errorf("%+v", l)
	}
}

func TestAMailThatNobodyCanReadIsKept(t *testing.T) {
	b := start(t, nil)
	c := b.dial()
	for _, raw := range []string{"no header at all", "", "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nbroken", "Content-Type: text/plain; charset=no-such\r\n\r\n\xff\xfe\r\n"} {
		if err := send(c, []byte(raw), "a@example.com"); err != nil {
			t.Fatalf("%q: %v", raw, err)
		}
	}
	if l := b.list(""); l.Total != 4 {
		t.Errorf("%+v", l)
	}
	for id := range 4 {
		if resp, body := b.do(http.MethodGet, fmt.Sprint("/messages/", id+1), "", ""); resp.StatusCode != 200 {
			t.Errorf("%d: %d %s", id+1, resp.StatusCode, body)
		}
	}
}

func TestAddressesAreChecked(t *testing.T) {
	b := start(t, nil)
	taken := strings.TrimPrefix(b.web, "http://")
	for variable, change := range map[string]func(*Config){
		"MAILBOX_SMTP_ADDR": func(c *Config) { c.SMTPAddr = "nonsense" },
		"MAILBOX_HTTP_ADDR": func(c *Config) { c.HTTPAddr = "127.0.0.1:99999" },
		taken:               func(c *Config) { c.HTTPAddr = taken },
		b.smtp:              func(c *Config) { c.SMTPAddr = b.smtp },
	} {
		cfg := Config{SMTPAddr: "127.0.0.1:0", HTTPAddr: "127.0.0.1:0", Dir: t.TempDir(), MaxMessages: 1}
		change(&cfg)
		if err := Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), variable) {
			t.Errorf("%s: %v", variable, err)
		}
	}
}

func TestConfigurationNamesTheVariable(t *testing.T) {
	for _, e := range []string{"MAILBOX_MAX_MESSAGES=0", "MAILBOX_HOSTS=Shop:80"} {
		name, _, _ := strings.Cut(e, "=")
		if _, err := config.Load[Config]([]string{e}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", e, err)
		}
	}
}

// A stop can come before the SMTP server has taken its listener.
func TestAStopRightAfterTheStart(t *testing.T) {
	for range 100 {
		ctx, cancel := context.WithCancel(t.Context())
		cfg := Config{SMTPAddr: "127.0.0.1:0", HTTPAddr: "127.0.0.1:0", Dir: t.TempDir(), MaxMessages: 1}
		cfg.Listening = func(net.Addr, net.Addr) { cancel() }
		if err := Run(ctx, cfg); err != nil {
			t.Fatal(err)
		}
	}
}

func BenchmarkMail(b *testing.B) {
	cfg := Config{SMTPAddr: "127.0.0.1:0", HTTPAddr: "127.0.0.1:0", Dir: b.TempDir(), MaxMessages: 10_000_000}
	listening := make(chan string, 1)
	cfg.Listening = func(mail, _ net.Addr) { listening <- mail.String() }
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, cfg) }() // received below
	addr := <-listening
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		c, err := smtp.Dial(addr)
		if err != nil {
			b.Error(err)
			return
		}
		defer func() { _ = c.Close() }()
		for pb.Next() {
			if err := send(c, []byte(multipartMail), "ada@example.com"); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "mails/s")
	cancel()
	if err := <-ended; err != nil {
		b.Error(err)
	}
}
