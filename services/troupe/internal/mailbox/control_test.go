package mailbox

import (
	"encoding/json"
	"net/http"
	"net/smtp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func (b *box) put(body string) {
	b.t.Helper()
	if resp, text := b.do(http.MethodPut, "/control", "application/json", body); resp.StatusCode != 200 {
		b.t.Fatalf("%s: %d %s", body, resp.StatusCode, text)
	}
}

func TestAnOutageEndsConnectionsAndBeginsNone(t *testing.T) {
	b := start(t, nil)
	open := b.dial()
	if err := open.Noop(); err != nil {
		t.Fatal(err)
	}
	b.put(`{"outage": true}`)
	if err := open.Noop(); err == nil {
		t.Error("a connection survived")
	}
	if c, err := smtp.Dial(b.smtp); err == nil {
		_ = c.Close()
		t.Error("a connection was made")
	}
	if resp, _ := b.do(http.MethodDelete, "/control", "", ""); resp.StatusCode != 204 {
		t.Errorf("DELETE: %d", resp.StatusCode)
	}
	if err := send(b.dial(), rawMail("x"), "a@example.com"); err != nil {
		t.Errorf("after the outage: %v", err)
	}
}

func TestAnOutageInterruptsWhatIsHeldBack(t *testing.T) {
	b := start(t, nil)
	b.put(`{"delay_ms": 60000}`)
	c := b.dial()
	answer := make(chan error, 1)
	go func() { answer <- send(c, rawMail("x"), "a@example.com") }() // received below
	b.untilHeldBack()
	b.put(`{"outage": true}`)
	if got := code(<-answer); got != 421 {
		t.Errorf("answered %d", got)
	}
	if l := b.list(""); l.Total != 0 {
		t.Errorf("%+v", l)
	}
}

// untilHeldBack returns when a mail is held back.
func (b *box) untilHeldBack() {
	b.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		var state State
		_, body := b.do(http.MethodGet, "/control", "", "")
		if err := json.Unmarshal([]byte(body), &state); err != nil {
			b.t.Fatal(err)
		}
		if state.Waiting > 0 {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatal("no mail is held back")
		}
	}
}

func TestAMailInFlightIsFinishedBeforeTheStop(t *testing.T) {
	b := start(t, nil)
	b.put(`{"delay_ms": 60000}`)
	idle, c := b.dial(), b.dial()
	answer := make(chan error, 1)
	go func() { answer <- send(c, rawMail("x"), "a@example.com") }() // received below
	b.untilHeldBack()
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	if err := <-answer; err != nil {
		t.Errorf("the mail in flight: %v", err)
	}
	if err := idle.Noop(); err == nil {
		t.Error("an idle connection survived the stop")
	}
}

func TestAPercentageOfRecipientsIsRefusedForGood(t *testing.T) {
	refused := 0
	for i := range 10_000 {
		to := string(rune('a'+i%26)) + strings.Repeat("x", i/26) + "@example.com"
		if chosen(to, 20) {
			refused++
			if !chosen(strings.ToUpper(to), 20) || !chosen(to, 100) || chosen(to, 0) {
				t.Errorf("%s is not refused for good", to)
			}
		}
	}
	if refused < 1700 || refused > 2300 {
		t.Errorf("%d of 10000 refused", refused)
	}
	b := start(t, nil)
	b.put(`{"refuse_percent": 100}`)
	if got := code(send(b.dial(), rawMail("x"), "a@example.com")); got != 550 {
		t.Errorf("answered %d", got)
	}
}

func TestSomeRecipientsArePutOffWhileItLasts(t *testing.T) {
	b := start(t, nil)
	b.put(`{"defer_percent": 100}`)
	if got := code(send(b.dial(), rawMail("x"), "a@example.com")); got != 450 {
		t.Errorf("answered %d", got)
	}
	b.put(`{}`)
	if err := send(b.dial(), rawMail("x"), "a@example.com"); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestTheControlResetsItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c control
		c.set(Settings{Outage: true, ResetAfterS: 5})
		time.Sleep(5*time.Second - 1) //nolint:forbidigo // in a synctest bubble
		if !c.now().Outage || c.now().ResetsAt == nil {
			t.Errorf("%+v", c.now())
		}
		time.Sleep(time.Nanosecond) //nolint:forbidigo // in a synctest bubble
		if c.now() != (State{}) {
			t.Errorf("%+v", c.now())
		}
	})
}

func TestTheControlTakesNoNonsense(t *testing.T) {
	b := start(t, nil)
	const good = `{"outage":false,"delay_ms":5,"refuse_percent":7,"defer_percent":9,"reset_after_s":0}`
	b.put(good)
	for _, tc := range []struct {
		body, field string
	}{
		{`{"delay_ms": -1}`, "/delay_ms"},
		{`{"delay_ms": 60001}`, "/delay_ms"},
		{`{"delay_ms": "5"}`, "/delay_ms"},
		{`{"delay_ms": 1.5}`, "/delay_ms"},
		{`{"outage": 1}`, "/outage"},
		{`{"refuse_percent": 101}`, "/refuse_percent"},
		{`{"defer_percent": 101}`, "/defer_percent"},
		{`{"reset_after_s": 3601}`, "/reset_after_s"},
		{`{"resets_at": "2026-01-02T15:04:05Z"}`, "/resets_at"},
		{`{"outrage": true}`, "/outrage"},
		{`[]`, ""}, {`null`, ""}, {``, ""}, {`{"outage": true`, ""}, {`{} {}`, ""}, {`true`, ""},
	} {
		resp, body := b.do(http.MethodPut, "/control", "application/json; charset=utf-8", tc.body)
		if resp.StatusCode != 400 || !strings.Contains(body, `"field":"`+tc.field) && tc.field != "" {
			t.Errorf("%s: %d %s", tc.body, resp.StatusCode, body)
		}
	}
	if resp, _ := b.do(http.MethodPut, "/control", "application/json", `{"outage": `+strings.Repeat(" ", 5000)+`true}`); resp.StatusCode != 413 {
		t.Errorf("large: %d", resp.StatusCode)
	}
	_, body := b.do(http.MethodGet, "/control", "", "")
	var got, want State
	if json.Unmarshal([]byte(body), &got) != nil || json.Unmarshal([]byte(good), &want) != nil || got != want {
		t.Errorf("something of it stuck: %s", body)
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
