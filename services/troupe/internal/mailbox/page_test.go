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
		"/messages/x": "id", "/?before=x": "before",
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
		if csp := resp.Header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; style-src 'self';") {
			t.Errorf("%s: %s", path, csp)
		}
	}
	if _, body := b.do(http.MethodGet, "/messages/1", "", ""); !strings.Contains(body, `<iframe sandbox title="The mail as HTML" src="/messages/1/html">`) {
		t.Errorf("no sandbox: %s", body)
	}
	resp, body := b.do(http.MethodGet, "/messages/1/html", "", "")
	csp := resp.Header.Get("Content-Security-Policy")
	if !strings.Contains(body, "<b>Grüße</b>") || !strings.HasPrefix(csp, "sandbox; default-src 'none';") || strings.Contains(csp, "script-src") {
		t.Errorf("%s %s", csp, body)
	}
	if resp, body := b.do(http.MethodGet, "/static/style.css", "", ""); resp.StatusCode != 200 || !strings.Contains(body, "iframe") {
		t.Errorf("style: %d", resp.StatusCode)
	}
}

func TestThePageListsTheNewestFirst(t *testing.T) {
	b := start(t, nil)
	c := b.dial()
	for i := range pageSize + 1 {
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
	if !strings.Contains(body, `href="/?to=A%40example.com&amp;before=2"`) {
		t.Errorf("no way to older mails: %s", body)
	}
	if _, body := b.do(http.MethodGet, "/?before=2", "", ""); !strings.Contains(body, "about m0<") || strings.Contains(body, "about m1<") {
		t.Errorf("%s", body)
	}
}
