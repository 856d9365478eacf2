package mailbox

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset" // mails in other character sets than UTF-8
)

// Bounds of what is shown of a mail.
const (
	maxHeaderText = 1000 // bytes of one header field in a list
	maxParts      = 50
)

// describe reads the header fields a list shows. Whatever a mail lacks, or has in a form that nobody can read, stays empty.
func describe(from string, to []string, raw []byte) Message {
	m := Message{From: from, To: to, Size: len(raw)}
	e, _ := message.Read(bytes.NewReader(raw))
	if e == nil {
		return m
	}
	m.MessageID = cut(strings.Trim(strings.TrimSpace(e.Header.Get("Message-Id")), "<>"))
	m.Date = cut(e.Header.Get("Date"))
	subject, _ := e.Header.Text("Subject") // what could not be decoded is in it as it came
	m.Subject = cut(subject)
	return m
}

func cut(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), maxHeaderText)], "\uFFFD")
}

// Mail is a message with its first text and HTML parts, decoded.
type Mail struct {
	Message
	Text, HTML string
	// Unreadable says what of the mail could not be decoded; nil when all could.
	Unreadable error
}

func decode(m Message, raw []byte) Mail {
	mail := Mail{Message: m}
	e, err := message.Read(bytes.NewReader(raw))
	if e == nil {
		mail.Unreadable = err
		return mail
	}
	parts := 0
	mail.Unreadable = e.Walk(func(_ []int, part *message.Entity, err error) error {
		if parts++; parts > maxParts {
			return errors.New("too many parts")
		}
		if err != nil {
			return err
		}
		media, _, _ := part.Header.ContentType() // a broken one is none, so text
		into := map[string]*string{"text/plain": &mail.Text, "text/html": &mail.HTML, "": &mail.Text}[media]
		if into == nil || *into != "" {
			return nil
		}
		text, err := io.ReadAll(part.Body)
		*into = strings.ToValidUTF8(string(text), "\uFFFD")
		return err
	})
	return mail
}
