package lifecycle

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/troupe-dev/troupe/pkg/buildinfo"
	"github.com/troupe-dev/troupe/pkg/config"
)

// Exit codes of Main.
const (
	exitOK     = 0
	exitFailed = 1 // run failed, or a second signal cut the stop short
	exitUsage  = 2 // unknown flag or wrong configuration
)

// Main is the whole of a service's main function: it reads the flags and the environment, runs until SIGINT or SIGTERM,
// and returns the exit code. The first signal ends run's context; a second one ends everything at once. Flags: -help
// lists every variable, -version says what was built, -health asks the running service on this host whether it lives
// (for container health checks).
func Main[C any](name string, run func(context.Context, C) error) int {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	return execute(process{name, os.Args[1:], os.Environ(), os.Stdout, os.Stderr, signals}, run)
}

// process is what a main function gets from the operating system.
type process struct {
	name           string
	args, environ  []string
	stdout, stderr io.Writer
	signals        <-chan os.Signal
}

// execute is Main but for what it takes from the operating system, so that tests can give that.
func execute[C any](p process, run func(context.Context, C) error) int {
	flags := flag.NewFlagSet(p.name, flag.ContinueOnError)
	flags.SetOutput(io.Discard) // what it has to say is said below, once
	version := flags.Bool("version", false, "say what was built, and exit")
	health := flags.Bool("health", false, "ask the running service whether it is ready: exit 0 if it is, 1 if not")
	err := flags.Parse(p.args)
	if err == nil && flags.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(p.stdout, "%s takes its configuration from environment variables.\n\nFlags:\n", p.name)
		flags.SetOutput(p.stdout)
		flags.PrintDefaults()
		fmt.Fprintf(p.stdout, "\nVariables:\n%s", config.Usage[C]())
		return exitOK
	case err != nil:
		fmt.Fprintf(p.stderr, "%s: %v; see %s -help\n", p.name, err, p.name)
		return exitUsage
	case *version:
		fmt.Fprintln(p.stdout, p.name, Version())
		return exitOK
	}
	cfg, err := config.Load[C](p.environ)
	if err != nil {
		fmt.Fprintf(p.stderr, "%s: wrong configuration:\n%v\nSee %s -help.\n", p.name, err, p.name)
		return exitUsage
	}
	if *health {
		return checkHealth(p, cfg)
	}
	return supervise(p, cfg, run)
}

// supervise runs until run returns, or a second signal comes.
func supervise[C any](p process, cfg C, run func(context.Context, C) error) int {
	slog.SetDefault(slog.New(startHandler(p.stderr, cfg)))
	slog.LogAttrs(context.Background(), slog.LevelInfo, "starting", slog.String("service", p.name),
		slog.String("version", Version()), slog.GroupAttrs("configuration", config.Masked(cfg)...))
	ctx, stop := context.WithCancelCause(context.Background())
	defer stop(nil)
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, cfg) }() // received below, unless a second signal ends the process
	for stopping := false; ; stopping = true {
		select {
		case err := <-ended:
			if err != nil {
				slog.Error("failed", "error", err.Error())
				return exitFailed
			}
			slog.Info("stopped")
			return exitOK
		case s := <-p.signals:
			if stopping {
				slog.Error("second signal: ending at once", "signal", s.String())
				return exitFailed
			}
			stop(fmt.Errorf("signal: %s", s))
		}
	}
}

// startHandler writes the lines that come before telemetry has set its own handler, in the same format.
func startHandler[C any](w io.Writer, cfg C) slog.Handler {
	if format, _ := config.Value(cfg, "LOG_FORMAT"); format == "json" {
		return slog.NewJSONHandler(w, nil)
	}
	return slog.NewTextHandler(w, nil)
}

// checkHealth asks GET /readyz at HTTP_ADDR, or at the variable that a configuration's HealthVariable names.
func checkHealth[C any](p process, cfg C) int {
	variable := "HTTP_ADDR"
	if named, ok := any(cfg).(interface{ HealthVariable() string }); ok {
		variable = named.HealthVariable()
	}
	addr, ok := config.Value(cfg, variable)
	if !ok {
		fmt.Fprintf(p.stderr, "%s: has no %s to ask\n", p.name, variable)
		return exitUsage
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		fmt.Fprintf(p.stderr, "%s: %s: %v\n", p.name, variable, err)
		return exitUsage
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	c := http.Client{Timeout: 2 * time.Second}
	resp, err := c.Get("http://" + net.JoinHostPort(host, port) + "/readyz")
	if err != nil {
		fmt.Fprintf(p.stderr, "%s: %v\n", p.name, err)
		return exitFailed
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		fmt.Fprintf(p.stderr, "%s: /readyz answered %s\n", p.name, resp.Status)
		return exitFailed
	}
	return exitOK
}

// Version is the build's version, commit and Go release, as far as the build knows them.
func Version() string {
	v := buildinfo.Version()
	b, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	for _, s := range b.Settings {
		if s.Key == "vcs.revision" {
			v += " " + s.Value[:min(12, len(s.Value))]
		}
	}
	return v + " " + b.GoVersion
}
