package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/loadtest/prove/junit"
	"github.com/troupe-dev/troupe/loadtest/prove/schedule"
	"github.com/troupe-dev/troupe/schemas/check"
)

func TestFlagsAreNamed(t *testing.T) {
	program := filepath.Join(t.TempDir(), "troupe")
	if err := os.WriteFile(program, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ args, says string }{
		{"-orders 0", "-orders must be at least 1"},
		{"-rate 0", "-rate must be more than 0"},
		{"-rounds 0", "-rounds must be at least 1"},
		{"-instances 12", "-instances must be 1 to 9"},
		{"-seed never", "-seed must be a number or fresh"},
		{"-faults kill,dance", `no class "dance"; there are answer-lost, broker-restart`},
		{"-kafka 127.0.0.1:1", "-kafka and -redis go together"},
		{"-real -kafka 127.0.0.1:1 -redis 127.0.0.1:2", "-real starts its own"},
		{"-poison -faults kill", "-poison is instead of -faults"},
		{"-payment-deadline 1ms", "-payment-deadline must be at least 1s"},
		{"-troupe nowhere", "-troupe"},
		{"more", `not ["more"]`},
	} {
		args := append([]string{"-troupe", program}, strings.Fields(tt.args)...)
		if _, err := parse(args, io.Discard); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: error %v, want %q", tt.args, err, tt.says)
		}
	}
	o, err := parse([]string{"-troupe", program, "-seed", "7", "-faults", "kill,pair", "-orders", "50"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	again, err := parse(strings.Fields(o.replay())[3:], io.Discard)
	if err != nil || again != o {
		t.Errorf("replayed by %s: %+v, %v; was %+v", o.replay(), again, err, o)
	}
	if a, err := parse([]string{"-troupe", program}, io.Discard); err != nil || a.seedNumber() == 0 {
		t.Errorf("a fresh seed is %q, %v", a.seed, err)
	}
}

func TestWhatDidNotHappenIsNotProven(t *testing.T) {
	kill, flush := schedule.Fault{Class: schedule.Kill, Target: "order"}, schedule.Fault{Class: schedule.Flush}
	crash := schedule.Fault{Class: schedule.Crash, Target: "payment", Point: "after-apply"}
	r := &report{Seed: "7", Command: "again", Dir: t.TempDir(), Found: &check.Report{}, Took: time.Second}
	r.prove([]schedule.Fault{kill, kill, flush, crash}, []deed{
		{Fault: kill, Seen: "seen"}, {Fault: kill, Err: errors.New("no")}, {Fault: crash, Err: errors.New("nobody came by")},
	})
	var out bytes.Buffer
	kept, err := r.end(&out)
	if err != nil || kept {
		t.Errorf("kept %t, %v", kept, err)
	}
	for _, says := range []string{
		"not_proven: crash:after-apply:payment did not happen: nobody came by", "not_proven: redis-flush did not happen",
		"not_proven         2", "The same again: again",
	} {
		if !strings.Contains(out.String(), says) {
			t.Errorf("does not say %q:\n%s", says, &out)
		}
	}
	if strings.Contains(out.String(), "kill did not happen") {
		t.Errorf("says that no kill happened:\n%s", &out)
	}
	raw, err := os.ReadFile(filepath.Join(r.Dir, "junit.xml"))
	if err != nil {
		t.Fatal(err)
	}
	var s junit.Suite
	if err := xml.Unmarshal(raw, &s); err != nil || s.Tests != len(check.Guarantees) || s.Failures != 1 || len(s.Cases) != s.Tests {
		t.Errorf("junit.xml: %+v, %v", s, err)
	}
	if _, err := os.Stat(filepath.Join(r.Dir, "report.json")); err != nil {
		t.Error(err)
	}
}
