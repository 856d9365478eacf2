package mailbox

import (
	"bytes"
	"errors"
	"io"
	"mime"
	netmail "net/mail"
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
	parsed, err := netmail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return m
	}
	m.MessageID = cut(strings.Trim(strings.TrimSpace(parsed.Header.Get("Message-Id")), "<>"))
	m.Date = cut(parsed.Header.Get("Date"))
	m.Subject = parsed.Header.Get("Subject")
	if s, err := new(mime.WordDecoder).DecodeHeader(m.Subject); err == nil {
		m.Subject = s
	}
	m.Subject = cut(m.Subject)
	return m
}

func cut(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), maxHeaderText)], "\uFFFD")
}

// Mail is a message with its first text and HTML parts, decoded.
type Mail struct {
	Message
	Text, HTML string
	// Unreadable says what of the mail could not be decoded; empty when all could.
	Unreadable string
}

func decode(m Message, raw []byte) Mail {
	mail := Mail{Message: m}
	e, err := message.Read(bytes.NewReader(raw))
	if err != nil && !message.IsUnknownCharset(err) && !message.IsUnknownEncoding(err) {
		mail.Unreadable = err.Error()
		return mail
	}
	parts := 0
	err = e.Walk(func(_ []int, part *message.Entity, err error) error {
		if parts++; parts > maxParts {
			return errors.New("too many parts")
		}
		if err != nil {
			return err
		}
		return mail.take(part)
	})
	if err != nil {
		mail.Unreadable = err.Error()
	}
	return mail
}

// take keeps a part's text, when it is the first of its kind and not an attachment.
func (mail *Mail) take(part *message.Entity) error {
	media, _, err := part.Header.ContentType()
	if err != nil {
		return err
	}
	if disposition, _, _ := part.Header.ContentDisposition(); disposition == "attachment" {
		return nil
	}
	into := map[string]*string{"text/plain": &mail.Text, "text/html": &mail.HTML, "": &mail.Text}[media]
	if into == nil || *into != "" {
		return nil
	}
	text, err := io.ReadAll(part.Body)
	*into = strings.ToValidUTF8(string(text), "\uFFFD")
	return err
}
