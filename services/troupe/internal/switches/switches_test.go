package switches_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/services/troupe/internal/switches"
)

type settings struct {
	switches.Timed
	Outage  bool `json:"outage"`
	DelayMS int  `json:"delay_ms" max:"60000"`
}

// door asks /control of some switches.
type door struct {
	t *testing.T
	http.Handler
}

func open(t *testing.T) (door, *switches.Switches[settings]) {
	s := switches.New[settings](time.Now)
	r := httpdoor.NewRouter()
	s.Routes(r)
	return door{t, r}, s
}

func (d door) ask(method, body string, status int) string {
	d.t.Helper()
	w := httptest.NewRecorder()
	d.ServeHTTP(w, httptest.NewRequestWithContext(d.t.Context(), method, "/control", strings.NewReader(body)))
	if w.Code != status {
		d.t.Errorf("%s %.40s: %d %s", method, body, w.Code, w.Body)
	}
	return w.Body.String()
}

func TestWhatIsPutIsAllThatIsWrong(t *testing.T) {
	d, s := open(t)
	d.ask("PUT", `{"delay_ms":60000,"outage":true}`, 200)
	s.Update(func(set *settings) { set.DelayMS-- })
	var got settings
	if err := json.Unmarshal([]byte(d.ask("GET", "", 200)), &got); err != nil || got != s.Now() || got.DelayMS != 59_999 || !got.Outage {
		t.Errorf("%+v, %v; it holds %+v", got, err, s.Now())
	}
	d.ask("PUT", `{"delay_ms":5}`, 200)
	if got := s.Now(); got != (settings{DelayMS: 5}) {
		t.Errorf("after another: %+v", got)
	}
	d.ask("DELETE", "", 200)
	if got := s.Now(); got != (settings{}) {
		t.Errorf("after its end: %+v", got)
	}
}

func TestItEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s := open(t)
		s.Set(settings{Outage: true, Timed: switches.Timed{ResetAfterS: 5}})
		time.Sleep(5*time.Second - 1) //nolint:forbidigo // in a synctest bubble
		if !s.Now().Outage {
			t.Error("ended before its time")
		}
		time.Sleep(time.Nanosecond) //nolint:forbidigo // in a synctest bubble
		if got := s.Now(); got != (settings{}) {
			t.Errorf("after its time: %+v", got)
		}
		s.Set(settings{Outage: true})
		time.Sleep(100 * time.Hour) //nolint:forbidigo // in a synctest bubble
		if !s.Now().Outage {
			t.Error("it ended though it has no time")
		}
	})
}

func TestWhatCannotBeIsRefused(t *testing.T) {
	d, s := open(t)
	s.Set(settings{DelayMS: 5})
	for _, tc := range []struct {
		body   string
		status int
		fields []string
	}{
		{`{"delay_ms":-1}`, 400, []string{"/delay_ms"}},
		{`{"delay_ms":60001}`, 400, []string{"/delay_ms"}},
		{`{"delay_ms":1.5}`, 400, []string{"/delay_ms"}},
		{`{"delay_ms":"5"}`, 400, []string{"/delay_ms"}},
		{`{"delay_ms":99999999999999999999999}`, 400, []string{"/delay_ms"}},
		{`{"outage":1}`, 400, []string{"/outage"}},
		{`{"reset_after_s":86401}`, 400, []string{"/reset_after_s"}},
		{`{"outrage":true,"outage":"yes","DELAY_MS":1}`, 400, []string{"/outrage", "/outage", "/DELAY_MS"}},
		{`{"":{}}`, 400, []string{"/"}},
		{`{"outage": true`, 400, nil}, {`{} {}`, 400, nil}, {`[]`, 400, nil}, {`null`, 400, nil}, {``, 400, nil}, {`true`, 400, nil},
		{`{"outage": ` + strings.Repeat(" ", 5000) + `true}`, 413, nil},
	} {
		answer := d.ask("PUT", tc.body, tc.status)
		for _, field := range tc.fields {
			if !strings.Contains(answer, `"field":"`+field+`"`) {
				t.Errorf("%s: does not name %s: %s", tc.body, field, answer)
			}
		}
	}
	if got := s.Now(); got != (settings{DelayMS: 5}) {
		t.Errorf("something of it took effect: %+v", got)
	}
}

func TestTheSameAreAlwaysChosen(t *testing.T) {
	chosen := 0
	for i := range 10_000 {
		text := string(rune('a'+i%26)) + strings.Repeat("x", i/26)
		if !switches.Chosen(text, 100) || switches.Chosen(text, 0) {
			t.Errorf("%s: of all or none", text)
		}
		if switches.Chosen(text, 20) {
			chosen++
			if !switches.Chosen(text, 20) {
				t.Errorf("%s is not always chosen", text)
			}
		}
	}
	if chosen < 1700 || chosen > 2300 {
		t.Errorf("%d of 10000 are chosen", chosen)
	}
}
