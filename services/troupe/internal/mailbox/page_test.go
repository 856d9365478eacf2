package mailbox

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestMailsAreFound(t *testing.T) {
	b := start(t, nil)
	c := b.dial()
	for i := range 5 {
		if err := send(c, rawMail(fmt.Sprint("m", i)), fmt.Sprintf("r%d@example.com", i%2)); err != nil {
			t.Fatal(err)
		}
	}
	for query, ids := range map[string]string{
		"":                     "[1 2 3 4 5]",
		"?message_id=m2":       "[3]",
		"?message_id=%3Cm2%3E": "[3]",
		"?after=3":             "[4 5]",
		"?limit=2":             "[1 2]",
		"?limit=2&after=2":     "[3 4]",
	} {
		var got []int64
		for _, m := range b.list(query).Messages {
			got = append(got, m.ID)
		}
		if fmt.Sprint(got) != ids {
			t.Errorf("%s: %v, want %s", query, got, ids)
		}
	}
	if l := b.list("?limit=2"); l.Total != 5 || l.NextAfter != 2 {
		t.Errorf("%+v", l)
	}
	if l := b.list("?limit=2&after=3"); l.NextAfter != 0 {
		t.Errorf("%+v", l)
	}
	for path, field := range map[string]string{
		"/api/messages?limit=0": "limit", "/api/messages?limit=10001": "limit", "/api/messages?after=-1": "after",
		"/api/messages?from=x": "from", "/api/messages?after=1&after=2": "after",
		"/messages/x": "id",
	} {
		resp, body := b.do(http.MethodGet, path, "", "")
		if resp.StatusCode != 400 || !strings.Contains(body, `"field":"`+field+`"`) {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
	for path, status := range map[string]int{"/messages/6": 404, "/messages/0": 404, "/nothing": 404, "/livez": 200, "/readyz": 200} {
		if resp, body := b.do(http.MethodGet, path, "", ""); resp.StatusCode != status {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
	if resp, _ := b.do(http.MethodPost, "/api/messages", "", ""); resp.StatusCode != 405 {
		t.Errorf("POST: %d", resp.StatusCode)
	}
}

func TestThePageIsNotWhatStrangersWrite(t *testing.T) {
	b := start(t, nil)
	hostile := strings.Replace(multipartMail, "=?UTF-8?q?Gr=C3=BC=C3=9Fe?=", "<script>alert(1)</script>", 1)
	if err := send(b.dial(), []byte(hostile), `"<script>"@example.com`); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/", "/messages/1"} {
		resp, body := b.do(http.MethodGet, path, "", "")
		if resp.StatusCode != 200 || strings.Contains(body, "<script") || !strings.Contains(body, "&lt;script&gt;alert(1)") {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
		if csp := resp.Header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; style-src 'unsafe-inline';") {
			t.Errorf("%s: %s", path, csp)
		}
	}
	const framed = `<iframe sandbox title="The mail as HTML" srcdoc="&lt;b&gt;Grüße&lt;/b&gt;&lt;script&gt;alert(1)&lt;/script&gt;">`
	if _, body := b.do(http.MethodGet, "/messages/1", "", ""); !strings.Contains(body, framed) {
		t.Errorf("not in a sandbox: %s", body)
	}
}

func TestThePageListsTheNewestFirst(t *testing.T) {
	b := start(t, nil)
	c := b.dial()
	for i := range listed + 1 {
		if err := send(c, rawMail(fmt.Sprint("m", i)), "a@example.com"); err != nil {
			t.Fatal(err)
		}
	}
	if _, body := b.do(http.MethodGet, "/?to=nobody%40example.com", "", ""); strings.Contains(body, "about m") {
		t.Errorf("%s", body)
	}
	_, body := b.do(http.MethodGet, "/?to=A%40example.com", "", "")
	if strings.Contains(body, "about m0<") || strings.Index(body, "about m100<") > strings.Index(body, "about m99<") {
		t.Errorf("%s", body)
	}
	if !strings.Contains(body, "101 mails, the newest 100 of them here") {
		t.Errorf("does not say that there are more: %s", body)
	}
}
