package mailbox

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

// Whatever comes in can be listed, shown and written into the log again.
func FuzzMessage(f *testing.F) {
	for _, seed := range []string{
		multipartMail, "", "\r\n", "Subject: =?x?y?z?=\r\n\r\n", "Content-Type: multipart/mixed; boundary=\r\n\r\n--\r\n",
		"Content-Type: text/html; charset=utf-16\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!", "Message-ID: <\xff>\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m := describe("from", []string{"to"}, raw)
		if m.Size != len(raw) || len(m.Subject)+len(m.MessageID)+len(m.Date) > 9*maxHeaderText {
			t.Errorf("%+v", m)
		}
		mail := decode(m, raw)
		for _, text := range []string{m.Subject, m.MessageID, m.Date, mail.Text, mail.HTML} {
			if !utf8.ValidString(text) {
				t.Errorf("not UTF-8: %q", text)
			}
		}
		var shown bytes.Buffer
		for _, v := range []view{{Mail: &mail}, {Messages: []Message{m}}} {
			if err := page.Execute(&shown, v); err != nil {
				t.Error(err)
			}
		}
		if strings.Contains(strings.ToLower(shown.String()), "<script") {
			t.Errorf("%s", shown.String())
		}
	})
}
