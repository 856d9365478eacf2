package mail

import (
	"bytes"
	"embed"
	"fmt"
	htmltemplate "html/template"
	netmail "net/mail"
	"strings"
	texttemplate "text/template"
	"unicode"

	"github.com/google/uuid"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/schemas/money"
	"github.com/troupe-dev/troupe/services/notification/internal/domain"
	gomail "github.com/wneessen/go-mail"
)

//go:embed templates
var files embed.FS

var (
	texts = texttemplate.Must(texttemplate.ParseFS(files, "templates/*.txt"))
	htmls = htmltemplate.Must(htmltemplate.ParseFS(files, "templates/*.html"))
)

var subjects = map[domain.Kind]string{
	domain.Confirmed: "Your order %s is confirmed",
	domain.Cancelled: "Your order %s is cancelled",
	domain.Refunded:  "Your money for order %s is on its way back",
}

// view is what the templates see: every text in it is one line without control characters.
type view struct {
	Subject, OrderID, Amount, Reason string
	Lines                            []viewLine
}

type viewLine struct {
	SKU, Name, Price string
	Quantity         int32
}

// messageID is made from the causing event's id, without angle brackets.
func messageID(causeID, domain string) string {
	if len(causeID) != 36 || uuid.Validate(causeID) != nil {
		causeID = event.MakeID(causeID, "message-id") // an id of foreign make may hold anything
	}
	return causeID + "@" + domain
}

// compose makes the message, byte for byte the same for the same mail: nothing in it is random, nor of the moment it is sent.
func compose(from, to *netmail.Address, id string, m domain.Mail) ([]byte, error) {
	subject, ok := subjects[m.Kind]
	if !ok {
		return nil, fmt.Errorf("no mail of kind %q", m.Kind)
	}
	v := view{OrderID: oneLine(m.OrderID), Amount: oneLine(money.Format(m.Amount, m.Currency)), Reason: m.Reason}
	v.Subject = fmt.Sprintf(subject, v.OrderID)
	for _, l := range m.Lines {
		v.Lines = append(v.Lines, viewLine{oneLine(l.SKU), oneLine(l.Name), oneLine(money.Format(l.Price, m.Currency)), l.Quantity})
	}
	var text, html bytes.Buffer
	if err := texts.ExecuteTemplate(&text, string(m.Kind)+".txt", v); err != nil {
		return nil, err
	}
	if err := htmls.ExecuteTemplate(&html, string(m.Kind)+".html", v); err != nil {
		return nil, err
	}
	boundary, _, _ := strings.Cut(id, "@")
	msg := gomail.NewMsg(gomail.WithBoundary("troupe-"+boundary), gomail.WithNoDefaultUserAgent())
	msg.FromMailAddress(from)
	msg.ToMailAddress(to)
	msg.Subject(v.Subject)
	msg.SetMessageIDWithValue(id)
	msg.SetDateWithValue(m.At.UTC())
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no out-of-office answers, please
	msg.SetBodyString(gomail.TypeTextPlain, text.String())
	msg.AddAlternativeString(gomail.TypeTextHTML, html.String())
	var out bytes.Buffer
	if _, err := msg.WriteTo(&out); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// maxText is how many characters of a name or SKU a mail shows.
const maxText = 200

// oneLine keeps a text that others chose from looking like ours: no line breaks, no control or direction characters,
// not long. Joiners stay: Persian and Indic words, and emoji of several people, are made with them.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Cc, unicode.Bidi_Control, unicode.Zl, unicode.Zp, unicode.Co, unicode.Cs) || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > maxText {
		s = string(r[:maxText]) + "…"
	}
	return s
}
