package supervise_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/services/troupe/internal/supervise"
)

// The test binary is its own child: TEST_ROLE says what to play.
func TestMain(m *testing.M) {
	switch role := os.Getenv("TEST_ROLE"); role {
	case "":
		os.Exit(m.Run())
	case "parent":
		parent()
	default:
		child(role)
	}
}

func child(role string) {
	if err := supervise.FollowParent(); err != nil {
		fmt.Println("error", err)
		os.Exit(3)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	fmt.Println("up", os.Getpid())
	for range signals {
		fmt.Println("asked to end")
		if role == "kind" {
			os.Exit(0)
		}
	}
}

// parent supervises one child until it is killed.
func parent() {
	p := supervise.New(spec("kind"), func(_ string, line []byte) { fmt.Println(string(line)) }, slog.New(slog.DiscardHandler))
	_ = p.Run(context.Background())
}

func spec(role string) supervise.Spec {
	return supervise.Spec{
		Name: "child", Service: "child", Instance: 1, Path: os.Args[0],
		Env: append(os.Environ(), "TEST_ROLE="+role), Addresses: map[string]string{"http": "127.0.0.1:1"},
		StopWithin: 10 * time.Second,
	}
}

// supervised runs a process for the test and returns it with its lines of output.
func supervised(t *testing.T, s supervise.Spec) (*supervise.Process, *output, func()) {
	t.Helper()
	out := &output{more: make(chan struct{}, 1)}
	p := supervise.New(s, out.add, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := p.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	stop := func() { cancel(); wg.Wait() }
	t.Cleanup(stop)
	return p, out, stop
}

type output struct {
	mu    sync.Mutex
	lines []string
	more  chan struct{}
}

func (o *output) add(_ string, line []byte) {
	o.mu.Lock()
	o.lines = append(o.lines, string(line))
	o.mu.Unlock()
	select {
	case o.more <- struct{}{}:
	default:
	}
}

// await returns the nth line (from 1) that starts with prefix.
func (o *output) await(t *testing.T, prefix string, n int) string {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		o.mu.Lock()
		seen := 0
		for _, l := range o.lines {
			if strings.HasPrefix(l, prefix) {
				if seen++; seen == n {
					o.mu.Unlock()
					return l
				}
			}
		}
		o.mu.Unlock()
		select {
		case <-o.more:
		case <-deadline:
			t.Fatalf("line %d starting with %q did not come; got %q", n, prefix, o.lines)
		}
	}
}

func pid(t *testing.T, line string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.Fields(line)[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func TestStartsAgainAfterAnyDeath(t *testing.T) {
	p, out, stop := supervised(t, spec("kind"))
	first := pid(t, out.await(t, "up", 1))
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	second := pid(t, out.await(t, "up", 2))
	if err := p.Term(); err != nil {
		t.Fatal(err)
	}
	third := pid(t, out.await(t, "up", 3))
	if first == second || second == third {
		t.Fatalf("pids %d, %d, %d: not started again", first, second, third)
	}
	s := p.Status()
	if s.Restarts != 2 || s.State != supervise.Running || s.PID != third || s.LastExit != "exit status 0" {
		t.Errorf("status = %+v", s)
	}
	stop()
	if s := p.Status(); s.State != supervise.Stopped || s.PID != 0 {
		t.Errorf("status after the end = %+v", s)
	}
	if alive(third) {
		t.Errorf("process %d is still there", third)
	}
	if got := fault.ClassOf(p.Kill()); got != fault.Conflict {
		t.Errorf("kill of a process that is not there: class %s, want conflict", got)
	}
}

func TestInsistsWhenAskedInVain(t *testing.T) {
	s := spec("stubborn")
	s.StopWithin = 100 * time.Millisecond
	_, out, stop := supervised(t, s)
	id := pid(t, out.await(t, "up", 1))
	stop()
	out.await(t, "asked to end", 1)
	if alive(id) {
		t.Errorf("process %d outlived its supervisor", id)
	}
}

func TestPausedProcessStopsKindly(t *testing.T) {
	p, out, stop := supervised(t, spec("kind"))
	out.await(t, "up", 1)
	if err := p.Pause(); err != nil {
		t.Fatal(err)
	}
	if got := p.Status().State; got != supervise.Paused {
		t.Errorf("state = %q, want paused", got)
	}
	stop()
	out.await(t, "asked to end", 1)
}

func TestResume(t *testing.T) {
	p, out, _ := supervised(t, spec("kind"))
	out.await(t, "up", 1)
	for _, f := range []func() error{p.Pause, p.Resume, p.Term} {
		if err := f(); err != nil {
			t.Fatal(err)
		}
	}
	out.await(t, "up", 2)
}

func TestTriesAgainWhatCannotBeStarted(t *testing.T) {
	s := spec("kind")
	s.Path = t.TempDir() + "/missing"
	p, _, stop := supervised(t, s)
	deadline := time.After(20 * time.Second)
	for p.Status().Restarts < 2 {
		select {
		case <-deadline:
			t.Fatalf("status = %+v", p.Status())
		case <-time.After(time.Millisecond):
		}
	}
	if got := p.Status().LastExit; !strings.HasPrefix(got, "cannot start") {
		t.Errorf("last exit = %q", got)
	}
	stop()
}

func TestChildDiesWithItsKilledSupervisor(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "TEST_ROLE=parent")
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(pipe)
	line, err := out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	id := pid(t, strings.TrimSpace(line))
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, out)
	_ = cmd.Wait() // says that it was killed
	deadline := time.After(20 * time.Second)
	for alive(id) {
		select {
		case <-deadline:
			t.Fatalf("child %d outlived its killed supervisor", id)
		case <-time.After(time.Millisecond):
		}
	}
}

// The pipe alone must do where the kernel does not end the child.
func TestChildEndsWithThePipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "TEST_ROLE=stubborn", "TROUPE_FOLLOW_PARENT=1")
	cmd.Stdin = r
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = r.Close()
	if _, err := bufio.NewReader(pipe).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("child ended with %v, want exit status 1", err)
	}
}

func TestStaysAwayFromStopUntilStart(t *testing.T) {
	p, out, _ := supervised(t, spec("kind"))
	out.await(t, "up", 1)
	if err := p.Start(); fault.ClassOf(err) != fault.Conflict {
		t.Errorf("start of what was not stopped: %v", err)
	}
	if err := p.Pause(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second changes nothing
		if err := p.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	out.await(t, "asked to end", 1)
	deadline := time.Now().Add(20 * time.Second)
	for p.Status().State != supervise.Stopped {
		if time.Now().After(deadline) {
			t.Fatalf("not stopped: %+v", p.Status())
		}
		runtime.Gosched()
	}
	if s := p.Status(); s.PID != 0 || s.Restarts != 0 {
		t.Errorf("stopped, and status is %+v", s)
	}
	if err := p.Kill(); fault.ClassOf(err) != fault.Conflict {
		t.Errorf("kill of what is stopped: %v", err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	out.await(t, "up", 2)
	if s := p.Status(); s.Restarts != 1 {
		t.Errorf("started again, and status is %+v", s)
	}
}
