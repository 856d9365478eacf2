package breaking

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
)

// bench is a stage with one break that notes what is done to it.
type bench struct {
	*Stage
	did  []string
	fail error // of the next mending
	stop func()
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{}
	b.Stage = newStage([]Break{
		{Name: "gateway", LastsS: 60, Options: []Option{{"50", "50 %"}, {"20", "20 %"}},
			begin: func(_ context.Context, option string) (string, error) {
				b.did = append(b.did, "begin "+option)
				return "", nil
			},
			end: func(context.Context) error {
				b.did = append(b.did, "end")
				fail := b.fail
				b.fail = nil
				return fail
			}},
		{Name: "poison", begin: func(context.Context, string) (string, error) { return "o-1", nil }, end: nothing},
		{Name: "stubborn", LastsS: 60, begin: func(context.Context, string) (string, error) { return "", fault.New(fault.Conflict, "no") }, end: nothing},
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	b.stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	return b
}

func (b *bench) wantDone(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	if !slices.Equal(b.did, want) {
		t.Errorf("did %q, want %q", b.did, want)
	}
}

func TestMendsItselfInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer b.stop()
		is, err := b.Begin(t.Context(), "gateway", "")
		if err != nil || !is.On || is.Option != "50" || time.Until(*is.EndsAt) != time.Minute {
			t.Fatalf("%+v, %v", is, err)
		}
		<-time.After(59 * time.Second)
		b.wantDone(t, "begin 50")
		if _, err := b.Begin(t.Context(), "gateway", "50"); err != nil { // from now on
			t.Fatal(err)
		}
		<-time.After(59 * time.Second)
		b.wantDone(t, "begin 50", "begin 50")
		<-time.After(2 * time.Second)
		b.wantDone(t, "begin 50", "begin 50", "end")
		if got := b.List()[0]; got.On || got.EndsAt != nil {
			t.Errorf("mended, and says %+v", got)
		}
	})
}

func TestMendingIsTriedUntilItSucceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer b.stop()
		if _, err := b.Begin(t.Context(), "gateway", "20"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // it sleeps until the time of mending
		b.fail = errors.New("no gateway")
		if _, err := b.End(t.Context(), "gateway"); err == nil {
			t.Error("it could not be mended, and nobody says so")
		}
		if got := b.List()[0]; !got.On || got.Error != "no gateway" {
			t.Errorf("%+v", got)
		}
		<-time.After(retryAfter + time.Second)
		b.wantDone(t, "begin 20", "end", "end")
		if got := b.List()[0]; got.On || got.Error != "" {
			t.Errorf("%+v", got)
		}
	})
}

func TestAnotherChoiceTakesThePlaceOfTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		for _, option := range []string{"50", "20"} {
			if _, err := b.Begin(t.Context(), "gateway", option); err != nil {
				t.Fatal(err)
			}
		}
		b.stop() // leaves nothing broken
		b.wantDone(t, "begin 50", "end", "begin 20", "end")
	})
}

func TestAtTheEndMendingIsTriedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		if _, err := b.Begin(t.Context(), "gateway", "50"); err != nil {
			t.Fatal(err)
		}
		b.fail = errors.New("no gateway")
		b.stop()
		<-time.After(2 * time.Minute)
		b.wantDone(t, "begin 50", "end")
	})
}

func TestWhatIsOverAtOnceShowsItsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer b.stop()
		if is, err := b.Begin(t.Context(), "poison", ""); err != nil || is.On || is.Order != "o-1" || b.List()[1].Order != "o-1" {
			t.Errorf("%+v, %v", is, err)
		}
	})
}

func TestRefusesClearly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer b.stop()
		for _, tt := range []struct {
			name, option string
			class        fault.Class
			says         string
		}{
			{"gatway", "", fault.NotFound, `nothing called "gatway" can be broken; there are [gateway poison stubborn]`},
			{"gateway", "51", fault.Invalid, `must be one of [50 20], is "51"`},
			{"poison", "x", fault.Invalid, `must be one of [], is "x"`},
			{"stubborn", "", fault.Conflict, "no"},
		} {
			if _, err := b.Begin(t.Context(), tt.name, tt.option); fault.ClassOf(err) != tt.class || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%s %s: %v", tt.name, tt.option, err)
			}
		}
		if _, err := b.End(t.Context(), "gatway"); fault.ClassOf(err) != fault.NotFound {
			t.Error(err)
		}
		if got := b.List()[2]; got.On {
			t.Errorf("could not be broken, and is on: %+v", got)
		}
	})
}
