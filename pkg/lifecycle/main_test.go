package lifecycle

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/troupe-dev/troupe/pkg/config"
)

type settings struct {
	HTTPAddr string        `env:"HTTP_ADDR" envDefault:"127.0.0.1:1" help:"where it listens"`
	Format   string        `env:"LOG_FORMAT" envDefault:"text" help:"text or json"`
	Key      config.Secret `env:"KEY" help:"of the gateway"`
	Size     int           `env:"SIZE" envDefault:"1" help:"how many"`
}

// output is written by the program's goroutines and read when it has ended.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// prepare makes a process and puts the default logger back when the test ends.
func prepare(t *testing.T, args, environ []string) (p process, stdout, stderr *output, signals chan os.Signal) {
	old := slog.Default()
	t.Cleanup(func() { slog.SetDefault(old) })
	stdout, stderr, signals = &output{}, &output{}, make(chan os.Signal, 2)
	return process{name: "order", args: args, environ: environ, stdout: stdout, stderr: stderr, signals: signals}, stdout, stderr, signals
}

func never(context.Context, settings) error { panic("must not run") }

func TestFlagsAndConfigurationAreReadBeforeAnythingRuns(t *testing.T) {
	for _, tc := range []struct {
		name           string
		args, environ  string
		code           int
		stdout, stderr string
	}{
		{"help", "-help", "", 0, "HTTP_ADDR  text, default 127.0.0.1:1\n      where it listens", ""},
		{"help lists the flags", "-h", "", 0, "-version", ""},
		{"help with wrong configuration", "--help", "SIZE=x", 0, "KEY  text, default empty, secret", ""},
		{"version", "-version", "", 0, "order ", ""},
		{"unknown flag", "-port", "", 2, "", "order: flag provided but not defined: -port; see order -help\n"},
		{"argument", "start", "", 2, "", `order: unexpected argument "start"; see order -help`},
		{"wrong value", "", "SIZE=x", 2, "", "SIZE: must be a whole number"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, stdout, stderr, _ := prepare(t, strings.Fields(tc.args), strings.Fields(tc.environ))
			if code := execute(p, never); code != tc.code {
				t.Errorf("exit code %d, want %d", code, tc.code)
			}
			if !strings.Contains(stdout.String(), tc.stdout) || (tc.stdout == "") != (stdout.String() == "") {
				t.Errorf("stdout %q", stdout)
			}
			if !strings.Contains(stderr.String(), tc.stderr) || (tc.stderr == "") != (stderr.String() == "") {
				t.Errorf("stderr %q", stderr)
			}
		})
	}
}

func TestTheFirstSignalStopsTheRun(t *testing.T) {
	p, _, stderr, signals := prepare(t, nil, []string{"KEY=sk_live_1", "LOG_FORMAT=json"})
	code := execute(p, func(ctx context.Context, _ settings) error {
		signals <- syscall.SIGTERM
		<-ctx.Done()
		if !strings.Contains(context.Cause(ctx).Error(), "terminated") {
			return errors.New("the cause is not the signal")
		}
		return nil
	})
	if code != 0 {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	out := stderr.String()
	if !strings.Contains(out, `"KEY":"(set)"`) || !strings.Contains(out, `"SIZE":"1"`) || strings.Contains(out, "sk_live") {
		t.Errorf("the configuration is not shown masked: %s", out)
	}
}

func TestASecondSignalEndsAtOnce(t *testing.T) {
	p, _, stderr, signals := prepare(t, nil, nil)
	hung, released := make(chan struct{}), make(chan struct{})
	code := execute(p, func(ctx context.Context, _ settings) error {
		defer close(released)
		signals <- os.Interrupt
		<-ctx.Done()
		signals <- os.Interrupt
		<-hung // a stop that takes for ever
		return nil
	})
	if code != 1 || !strings.Contains(stderr.String(), "second signal") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	close(hung)
	<-released
}

func TestAFailedRunExitsWith1(t *testing.T) {
	p, _, stderr, _ := prepare(t, nil, nil)
	code := execute(p, func(context.Context, settings) error { return errors.New("topic order.events.v1 has 3 partitions") })
	if code != 1 || !strings.Contains(stderr.String(), "has 3 partitions") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

func TestHealthFlagAsksTheRunningService(t *testing.T) {
	code := http.StatusOK
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			t.Errorf("asked %s", r.URL)
		}
		w.WriteHeader(code)
	}))
	addr := srv.Listener.Addr().String()
	check := func(addr string) (int, string) {
		p, _, stderr, _ := prepare(t, []string{"-health"}, []string{"HTTP_ADDR=" + addr})
		return execute(p, never), stderr.String()
	}
	if got, out := check(addr); got != 0 {
		t.Errorf("alive: exit code %d: %s", got, out)
	}
	if got, out := check(strings.Replace(addr, "127.0.0.1", "0.0.0.0", 1)); got != 0 {
		t.Errorf("listening everywhere: exit code %d: %s", got, out)
	}
	code = http.StatusInternalServerError
	if got, _ := check(addr); got != 1 {
		t.Errorf("broken: exit code %d", got)
	}
	srv.Close()
	if got, out := check(addr); got != 1 || out == "" {
		t.Errorf("gone: exit code %d: %s", got, out)
	}
	if got, out := check("nonsense"); got != 2 || !strings.Contains(out, "HTTP_ADDR") {
		t.Errorf("malformed: exit code %d: %s", got, out)
	}
}
