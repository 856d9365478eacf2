package main

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/schemas/check"
)

// TestMain is the twin where a test starts it as a process.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		if err := serve(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

const troupe = "../../bin/troupe"

// TestPromises needs redis-server, and bin/troupe (make bin/troupe).
func TestPromises(t *testing.T) {
	s, err := open(t.Context(), troupe, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	few := crowd{orders: 60, perSecond: 20, within: 20 * time.Second}
	named := func(name string) breakage {
		return breakages[slices.IndexFunc(breakages, func(b breakage) bool { return b.name == name })]
	}
	for _, sys := range []*system{s.troupe, s.twin} {
		o, err := s.befall(t.Context(), sys, named("none"), few)
		if err != nil {
			t.Fatal(err)
		}
		if o.orders != few.orders || len(o.violations) > 0 {
			t.Errorf("%s: %s", sys.name, o)
		}
	}
	whereIsOrder(t, s)

	// Controls: the judge can find something. What is wrong here stays wrong, so there is no need to wait long.
	few.within = time.Second
	if err := s.put(t.Context(), control{DoubleChargeNext: 1}); err != nil {
		t.Fatal(err)
	}
	o, err := s.befall(t.Context(), s.twin, named("none"), few)
	if err != nil {
		t.Fatal(err)
	}
	if n := count(o, check.ChargedTwice); n != 1 {
		t.Errorf("a gateway that charged one order twice: found %d, %s", n, o)
	}
	if o, err = s.befall(t.Context(), s.twin, named("store-wiped"), few); err != nil {
		t.Fatal(err)
	}
	if count(o, check.Lost) == 0 {
		t.Errorf("the engine's store was wiped, and nothing is lost: %s", o)
	}
}

func count(o outcome, g check.Guarantee) (n int) {
	for _, v := range o.violations {
		if v.Guarantee == g {
			n++
		}
	}
	return n
}
