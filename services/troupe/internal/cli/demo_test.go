package cli

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"

	"github.com/troupe-dev/troupe/services/troupe/internal/play"
)

// A demo stack has no control API: then URLs say where to play, or the documented ports do.
func TestDemoFindsItsStage(t *testing.T) {
	playground := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"processes":[{"service":"order","instance":1,"addresses":{"http":"http://o"}},
			{"service":"query","instance":1,"addresses":{"http":"http://q"}},{"service":"gateway","instance":1,"addresses":{"http":"http://g"}},
			{"service":"mailbox","instance":1,"addresses":{"http":"http://m"}}]}`))
	}))
	defer playground.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	whole := play.Playground{Order: "http://o", Query: "http://q", Gateway: "http://g", Mailbox: "http://m"}
	two := play.Playground{Order: "http://o", Query: "http://q"}
	ports := defaults
	defer func() { defaults = ports }()

	for name, c := range map[string]struct {
		stage   stage
		control string // at the port where a playground has it
		want    play.Playground
		fails   bool
	}{
		"playground":                    {control: playground.URL, want: whole},
		"named playground":              {stage: stage{Control: playground.URL, Order: "http://elsewhere"}, control: gone.URL, want: whole},
		"stack on its ports":            {control: gone.URL, want: ports},
		"stack by URLs":                 {stage: stage(whole), control: playground.URL, want: whole},
		"no ledger and no mails":        {stage: stage{Order: "http://o", Query: "http://q"}, want: two},
		"order without query":           {stage: stage{Order: "http://o"}, control: playground.URL, fails: true},
		"ledger of nobody":              {stage: stage{Gateway: "http://g"}, control: playground.URL, fails: true},
		"named playground is not there": {stage: stage{Control: gone.URL}, fails: true},
	} {
		defaults.Control = c.control
		got, err := c.stage.find(t.Context())
		got.Control, c.want.Control = "", ""
		if (err != nil) != c.fails || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, c.want)
		}
		var usage usageError
		if c.fails && c.stage.Control == "" && !errors.As(err, &usage) {
			t.Errorf("%s: %v, want a mistake in the command line", name, err)
		}
	}
}
