// Package supervise keeps child processes running: it starts them, starts them again after any death, passes signals on, and
// leaves none behind, not even when it is killed itself. Linux and other Unix systems.
package supervise

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/troupe-dev/troupe/pkg/wait"
)

// The wait before a dead process is started again doubles from minWait to maxWait, and starts over once it lived for steady.
const (
	minWait = 200 * time.Millisecond
	maxWait = 5 * time.Second
	steady  = 10 * time.Second
	// maxLine bounds a line of output, in bytes; what is longer is cut into several.
	maxLine = 64 << 10
)

// Spec is one process to keep running.
type Spec struct {
	// Name is unique among the processes, such as payment or payment-2.
	Name string
	// Service is what the process runs, and Instance which of them it is, from 1.
	Service  string
	Instance int
	// Path of the program, its arguments without the program's name, and its whole environment.
	Path string
	Args []string
	Env  []string
	// Addresses where it can be reached, by what answers there; for people and tests.
	Addresses map[string]string
	// StopWithin is the time between SIGTERM and SIGKILL; 0: it is never killed. After any other death the output of its own
	// children, if they live on, is read for as long at most before it is started again.
	StopWithin time.Duration
}

// State of a process.
type State string

// States.
const (
	Running  State = "running"
	Paused   State = "paused" // SIGSTOP
	Waiting  State = "waiting to restart"
	Stopping State = "stopping"
	Stopped  State = "stopped"
)

// Status is a moment's view of a process.
type Status struct {
	Name     string `json:"name"`
	Service  string `json:"service"`
	Instance int    `json:"instance"`
	// PID is 0 while there is no process.
	PID   int   `json:"pid"`
	State State `json:"state"`
	// Restarts counts starts after the first.
	Restarts int `json:"restarts"`
	// LastExit says how the process ended last; empty when it never did.
	LastExit  string            `json:"last_exit,omitempty"`
	Addresses map[string]string `json:"addresses,omitempty"`
}

// Process is a supervised process. Make it with New.
type Process struct {
	spec Spec
	out  func(name string, line []byte)
	log  *slog.Logger

	mu     sync.Mutex
	cmd    *exec.Cmd // nil while there is no process
	status Status
	wake   chan struct{} // not nil while it is to stay away; closed by Start
}

// New returns a process that does not run yet. out gets each line of its standard output and error without the line's end;
// it must not keep the slice.
func New(spec Spec, out func(name string, line []byte), log *slog.Logger) *Process {
	return &Process{spec: spec, out: out, log: log.With("process", spec.Name), status: Status{
		Name: spec.Name, Service: spec.Service, Instance: spec.Instance, State: Stopped, Addresses: spec.Addresses,
	}}
}

// Status returns the process as it is now.
func (p *Process) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status
}

// Run keeps the process running until ctx ends; then it asks it to end by SIGTERM, insists by SIGKILL after StopWithin,
// and returns when it is gone. It never gives up: a program that cannot be started is tried again like one that died.
func (p *Process) Run(ctx context.Context) error {
	// On Linux the kernel kills the child when the thread that started it ends: that must be the end of all of us.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer p.set(func(s *Status) { s.State = Stopped })
	pause := minWait
	for ctx.Err() == nil {
		began := time.Now()
		exit := p.once(ctx)
		if ctx.Err() != nil {
			break
		}
		if time.Since(began) >= steady {
			pause = minWait
		}
		if p.away(ctx, exit) {
			pause = minWait
			continue
		}
		p.set(func(s *Status) { s.State, s.LastExit = Waiting, exit })
		p.log.Warn("process ended, starting it again", "exit", exit, "after", pause.String())
		_ = wait.Sleep(ctx, pause)
		pause = min(2*pause, maxWait)
		p.set(func(s *Status) { s.Restarts++ })
	}
	return nil
}

// away waits until Start, or until ctx ends, when the process was stopped; false when it was not.
func (p *Process) away(ctx context.Context, exit string) bool {
	p.mu.Lock()
	wake := p.wake
	if wake != nil {
		p.status.State, p.status.LastExit = Stopped, exit
	}
	p.mu.Unlock()
	if wake == nil {
		return false
	}
	p.log.Info("process stopped", "exit", exit)
	select {
	case <-ctx.Done():
	case <-wake:
		p.set(func(s *Status) { s.Restarts++ })
	}
	return true
}

// once runs the process to its end and says how it ended.
func (p *Process) once(ctx context.Context) string {
	read, written := io.Pipe()
	var output sync.WaitGroup
	output.Go(func() { p.lines(read) })
	defer output.Wait()
	defer func() { _ = written.Close() }() // ends its lines
	cmd := exec.CommandContext(ctx, p.spec.Path, p.spec.Args...)
	cmd.Env = slices.Concat(p.spec.Env, []string{followVariable + "=1"})
	cmd.Stdout, cmd.Stderr = written, written
	cmd.Cancel = p.ask
	cmd.WaitDelay = p.spec.StopWithin
	cmd.SysProcAttr = attributes()
	if _, err := cmd.StdinPipe(); err != nil { // it ends with this process
		return "cannot start: " + err.Error()
	}
	p.mu.Lock()
	err := cmd.Start()
	if err == nil {
		p.cmd = cmd
		p.status.PID, p.status.State = cmd.Process.Pid, Running
	}
	p.mu.Unlock()
	if err != nil {
		return "cannot start: " + err.Error()
	}
	_ = cmd.Wait() // its state says how it ended
	p.mu.Lock()
	p.cmd, p.status.PID = nil, 0
	p.mu.Unlock()
	exit := cmd.ProcessState.String()
	if ctx.Err() != nil && exit == "signal: killed" {
		p.log.Error("process did not stop in time and was killed", "within", p.spec.StopWithin.String())
	}
	return exit
}

// lines gives out the process's output line by line, until that ends.
func (p *Process) lines(output io.Reader) {
	lines := bufio.NewReaderSize(output, maxLine)
	for {
		line, _, err := lines.ReadLine()
		if err != nil {
			return
		}
		p.out(p.spec.Name, line)
	}
}

// ask asks the process to end.
func (p *Process) ask() error {
	p.set(func(s *Status) { s.State = Stopping })
	_ = p.Signal(syscall.SIGTERM) // may be gone in this moment
	_ = p.Signal(syscall.SIGCONT) // a paused process cannot end kindly
	return nil
}

func (p *Process) set(f func(*Status)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.status)
}

// Dialable blocks until addr accepts a TCP connection, or returns the last error when ctx ends.
func Dialable(ctx context.Context, addr string) error {
	for {
		c, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", addr)
		if err == nil {
			return c.Close()
		}
		if wait.Sleep(ctx, 20*time.Millisecond) != nil {
			return fmt.Errorf("nothing answers at %s: %w", addr, err)
		}
	}
}
