package mail

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/troupe-dev/troupe/services/notification/internal/domain"
	"pgregory.net/rapid"
)

var sender = &netmail.Address{Name: "Troupe", Address: "orders@troupe.example"}

// parsed is a composed mail as a reader sees it.
type parsed struct {
	netmail.Header
	raw, text, html string
}

type failer interface {
	Helper()
	Fatalf(string, ...any)
}

func composed(t failer, m domain.Mail) parsed {
	t.Helper()
	to, err := recipient(m.To)
	if err != nil {
		t.Fatalf("recipient: %v", err)
	}
	raw, err := compose(sender, to, messageID(m.CauseID, "troupe.example"), m)
	if err != nil {
		t.Fatalf("compose: %v", err)
	}
	msg, err := netmail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatalf("read: %v\n%s", err, raw)
	}
	p := parsed{Header: msg.Header, raw: string(raw)}
	media, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil || media != "multipart/alternative" {
		t.Fatalf("content type %q: %v", media, err)
	}
	parts := multipart.NewReader(msg.Body, params["boundary"])
	for _, into := range []*string{&p.text, &p.html} {
		part, err := parts.NextRawPart()
		if err != nil {
			t.Fatalf("part: %v", err)
		}
		body, err := io.ReadAll(quotedprintable.NewReader(part))
		if err != nil || part.Header.Get("Content-Transfer-Encoding") != "quoted-printable" {
			t.Fatalf("part %v: %v", part.Header, err)
		}
		*into = string(body)
	}
	if _, err := parts.NextRawPart(); err != io.EOF {
		t.Fatalf("a third part: %v", err)
	}
	return p
}

func confirmed() domain.Mail {
	return domain.Mail{
		CauseID: "0b0e6a3c-9d2f-5b7a-8f55-3a7d3f1f0a01", At: time.Date(2026, 1, 2, 15, 4, 5, 678, time.UTC),
		OrderID: "6f9619ff-8b86-5011-b42d-00c04fc964ff", To: "ada@example.com", Kind: domain.Confirmed, Currency: "EUR", Amount: 2500,
		Lines: []domain.Line{{SKU: "TEA-250", Name: "Grüner <Tee>", Quantity: 2, Price: 1250}},
	}
}

func TestAConfirmationSaysWhatWasOrdered(t *testing.T) {
	p := composed(t, confirmed())
	for field, want := range map[string]string{
		"Message-Id": "<0b0e6a3c-9d2f-5b7a-8f55-3a7d3f1f0a01@troupe.example>", "Date": "Fri, 02 Jan 2026 15:04:05 +0000",
		"From": `"Troupe" <orders@troupe.example>`, "To": "<ada@example.com>", "Auto-Submitted": "auto-generated",
		"Subject": "Your order 6f9619ff-8b86-5011-b42d-00c04fc964ff is confirmed", "X-Mailer": "", "User-Agent": "",
	} {
		if got := p.Get(field); got != want {
			t.Errorf("%s: %q, want %q", field, got, want)
		}
	}
	for _, want := range []string{"2 x Grüner <Tee> (TEA-250) at 12.50 EUR", "Total: 25.00 EUR"} {
		if !strings.Contains(p.text, want) {
			t.Errorf("text lacks %q: %s", want, p.text)
		}
	}
	for _, want := range []string{"2 × Grüner &lt;Tee&gt;", "TEA-250", "12.50 EUR", "25.00 EUR"} {
		if !strings.Contains(p.html, want) {
			t.Errorf("HTML lacks %q: %s", want, p.html)
		}
	}
}

func TestACancellationSaysWhy(t *testing.T) {
	seen := map[string]string{}
	for reason, want := range map[string]string{
		"customer": "You asked for it.", "payment_declined": "was declined", "payment_timeout": "in time", "": "is cancelled",
	} {
		m := confirmed()
		m.Kind, m.Reason, m.Currency, m.Amount = domain.Cancelled, reason, "JPY", 800
		p := composed(t, m)
		for _, body := range []string{p.text, p.html} {
			if !strings.Contains(body, want) || !strings.Contains(body, "800 JPY") || strings.Contains(body, "800.00") {
				t.Errorf("%q: %s", reason, body)
			}
			if other, dup := seen[body]; dup {
				t.Errorf("%q and %q read the same", reason, other)
			}
			seen[body] = reason
		}
	}
}

// Names are written as their owners write them; only what turns the direction of the text around goes.
func TestANameKeepsItsJoiners(t *testing.T) {
	for name, want := range map[string]string{
		"می\u200cخواهم": "می\u200cخواهم", "क्\u200dष": "क्\u200dष", "👩\u200d👩\u200d👧": "👩\u200d👩\u200d👧",
		"\u202egnp.exe\u2066x\u200f\u061cy": "gnp.exe x y",
	} {
		m := confirmed()
		m.Lines[0].Name = name
		p := composed(t, m)
		if !strings.Contains(p.text, " "+want+" (") || !strings.Contains(p.html, want) {
			t.Errorf("%q: %s", name, p.text)
		}
	}
}

func TestARefundSaysHowMuch(t *testing.T) {
	m := confirmed()
	m.Kind, m.Currency, m.Amount = domain.Refunded, "KWD", 12345
	p := composed(t, m)
	if !strings.Contains(p.text, "12.345 KWD") || !strings.Contains(p.html, "12.345 KWD") {
		t.Errorf("%s\n%s", p.text, p.html)
	}
}

func TestAResendIsTheSameBytes(t *testing.T) {
	a := composed(t, confirmed())
	m := confirmed()
	m.At = m.At.In(time.FixedZone("elsewhere", 7200))
	if b := composed(t, m); a.raw != b.raw {
		t.Errorf("not the same:\n%s\n%s", a.raw, b.raw)
	}
}

func TestAKindWithoutATextIsAnError(t *testing.T) {
	m := confirmed()
	m.Kind = "reminder"
	if raw, err := compose(sender, &netmail.Address{Address: m.To}, "x@y", m); err == nil {
		t.Errorf("%s", raw)
	}
}

func TestAMessageIDIsNeverMoreThanAnID(t *testing.T) {
	const id = "0b0e6a3c-9d2f-5b7a-8f55-3a7d3f1f0a01"
	if got := messageID(id, "d"); got != id+"@d" {
		t.Errorf("%s", got)
	}
	for _, foreign := range []string{"", "x", id + ">\r\nBcc: <eve@example.com", "{" + id[2:] + "}"} {
		got := messageID(foreign, "d")
		if len(got) != 38 || strings.ContainsAny(got, "<>\r\n{} ") || got != messageID(foreign, "d") {
			t.Errorf("%q: %q", foreign, got)
		}
	}
	if messageID("x", "d") == messageID("y", "d") {
		t.Error("two events, one Message-ID")
	}
}

// Whatever others chose (names, SKUs, ids, currencies, addresses), the mail has the headers it should have, one recipient, and
// bodies in which the chosen text stays on its line and is no markup.
func TestHostileTextStaysText(t *testing.T) {
	hostile := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{
		"\r\nBcc: eve@example.com\r\n", "\n\n--troupe-x--\n", "x\n.\nMAIL FROM:<eve>", "</td><script>alert(1)</script>", "\u202egnp.exe",
		"\u2028line", "{{.OrderID}}", strings.Repeat("x", 100_000), "=?UTF-8?q?=0D=0ABcc:_eve?=", "\xff\xfe",
	}))
	rapid.Check(t, func(t *rapid.T) {
		m := confirmed()
		m.Kind = rapid.SampledFrom([]domain.Kind{domain.Confirmed, domain.Cancelled, domain.Refunded}).Draw(t, "kind")
		m.Reason = hostile.Draw(t, "reason")
		m.CauseID, m.OrderID, m.Currency = hostile.Draw(t, "cause"), hostile.Draw(t, "order"), hostile.Draw(t, "currency")
		m.Lines[0].Name, m.Lines[0].SKU = hostile.Draw(t, "name"), hostile.Draw(t, "sku")
		calm := confirmed()
		calm.Kind = m.Kind
		p, want := composed(t, m), composed(t, calm)
		if len(p.Header) != len(want.Header) {
			t.Fatalf("headers %v, want %v", p.Header, want.Header)
		}
		for field, values := range p.Header {
			if len(values) != 1 || len(want.Header[field]) != 1 {
				t.Fatalf("%s: %q", field, values)
			}
		}
		if p.Get("To") != "<ada@example.com>" || p.Get("From") != want.Get("From") {
			t.Fatalf("%v", p.Header)
		}
		if m.Kind != domain.Cancelled && strings.Count(p.text, "\n") != strings.Count(want.text, "\n") {
			t.Fatalf("lines of %q, want as many as in %q", p.text, want.text)
		}
		if strings.Count(p.html, "<") != strings.Count(want.html, "<") && m.Kind != domain.Cancelled {
			t.Fatalf("markup in %q", p.html)
		}
		if strings.Contains(p.html, "<script") {
			t.Fatalf("a script in %q", p.html)
		}
		for _, r := range p.text {
			if r != '\n' && r != '\r' && unicode.In(r, unicode.Cc, unicode.Bidi_Control) {
				t.Fatalf("control character %U in %q", r, p.text)
			}
		}
	})
}

func TestRecipientTakesBareAddressesAlone(t *testing.T) {
	for _, good := range []string{"ada@example.com", "ada+tag@example.com", "grüße@example.com", `"a b"@example.com`, "a@[127.0.0.1]",
		strings.Repeat("a", 64) + "@example.com"} {
		if to, err := recipient(good); err != nil || envelope(to) != "<"+good+">" {
			t.Errorf("%s: %v %v", good, to, err)
		}
	}
	for _, bad := range []string{
		"", "ada", "@example.com", "ada@", "Ada <ada@example.com>", "<ada@example.com>", " ada@example.com", "ada@example.com ",
		"ada@example.com, eve@example.com", "ada@example.com\r\nRCPT TO:<eve@example.com>", "ada@exam\nple.com", "ada@example.com>",
		"ada@example.com (comment)", strings.Repeat("a", 400) + "@example.com", strings.Repeat("a", 65) + "@example.com", "\"a\r\nb\"@example.com", "ada@example.com\x00",
	} {
		if to, err := recipient(bad); err == nil {
			t.Errorf("%q was taken as %v", bad, to)
		}
	}
}
