package upstream_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/upstream"
)

func Example() {
	gateway := upstream.New("payment gateway")
	gateway.Refused("HTTP 401")
	fmt.Println(gateway.Ready(), gateway.TakesOthers())
	gateway.Took()
	fmt.Println(gateway.Ready(), gateway.TakesOthers())
	// Output:
	// payment gateway refuses this service: HTTP 401 false
	// <nil> true
}

func TestARefusalIsLoudAndNotALoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged bytes.Buffer
		before := slog.Default()
		slog.SetDefault(slog.New(slog.NewTextHandler(&logged, nil)))
		defer slog.SetDefault(before)
		s := upstream.New("gateway")
		for range 31 { // over 30 seconds
			s.Refused("HTTP 401")
			time.Sleep(time.Second) //nolint:forbidigo // of a synctest bubble
		}
		if n := strings.Count(logged.String(), "level=ERROR"); n != 2 {
			t.Errorf("told %d times in 30 s, not at its beginning and its end: %s", n, logged.String())
		}
		if fault.ClassOf(s.Ready()) != fault.Unavailable {
			t.Errorf("ready: %v", s.Ready())
		}
	})
}

func TestASuccessIsForgottenAfterAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := upstream.New("gateway")
		s.Accepted()
		if s.TakesOthers() {
			t.Error("a request that was judged is not one that was taken")
		}
		s.Took()
		time.Sleep(time.Hour - time.Second) //nolint:forbidigo // of a synctest bubble
		if !s.TakesOthers() {
			t.Error("forgotten too soon")
		}
		time.Sleep(time.Second) //nolint:forbidigo // of a synctest bubble
		if s.TakesOthers() {
			t.Error("remembered for longer than an hour")
		}
	})
}

func TestARunIsSeveralWhoMeetOneRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r upstream.Runs
		for n, met := range []struct{ reason, who string }{
			{"550", "ada"}, {"550", "ada"}, {"550", "ada"}, {"554", "bob"}, {"550", "bob"}, {"550", "eve"},
		} {
			r.Add(met.reason, met.who)
			if r.Long("550") != (n == 5) {
				t.Errorf("after %d refusals: %v", n+1, r.Met())
			}
		}
		time.Sleep(time.Hour - time.Second) //nolint:forbidigo // of a synctest bubble
		if !r.Long("550") {
			t.Error("forgotten too soon")
		}
		time.Sleep(time.Second) //nolint:forbidigo // of a synctest bubble
		if r.Long("550") || len(r.Met()) != 0 {
			t.Errorf("remembered for longer than an hour: %v", r.Met())
		}
		for n := range 3 {
			r.Add("550", fmt.Sprint(n))
		}
		if r.End(); r.Long("550") {
			t.Errorf("after a success: %v", r.Met())
		}
		for n := range 2000 {
			r.Add("550", fmt.Sprint(n))
			r.Add(fmt.Sprint(n), "ada")
		}
		if met := r.Met(); len(met) != 50 || met["550"] != 1000 {
			t.Errorf("%d reasons, %d met one", len(met), met["550"])
		}
	})
}
