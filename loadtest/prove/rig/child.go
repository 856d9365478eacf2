package rig

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Child is a process of its own group with its output in a file.
type Child struct {
	cmd   *exec.Cmd
	ended chan struct{}
	err   error // how it ended
}

// StartChild starts a program with further variables of its environment. What it says goes to the end of the file log.
func StartChild(log string, env []string, program string, args ...string) (*Child, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }() // the child has its own
	c := &Child{cmd: exec.Command(program, args...), ended: make(chan struct{})}
	c.cmd.Stdout, c.cmd.Stderr = out, out
	c.cmd.Env = append(os.Environ(), env...)
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C is for us: we stop it in order
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { // ends with the child, for whose end stop waits
		c.err = c.cmd.Wait()
		close(c.ended)
	}()
	return c, nil
}

// PID is that of the process, also when it has ended.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// Ended is closed when the process has ended.
func (c *Child) Ended() <-chan struct{} { return c.ended }

// Gone is an error once the process has ended.
func (c *Child) Gone() error {
	select {
	case <-c.ended:
		return fmt.Errorf("%s ended: %s", c.cmd.Path, c.cmd.ProcessState)
	default:
		return nil
	}
}

// Kill ends it with SIGKILL, and blocks until it is gone. One that could not be started is nil.
func (c *Child) Kill() {
	if c != nil {
		_ = c.cmd.Process.Kill() // it may have ended
		<-c.ended
	}
}

// stop sends a signal, insists after a while, and waits. It returns what the child ended with.
func (c *Child) stop(s syscall.Signal, within time.Duration) error {
	_ = c.cmd.Process.Signal(s) // it may have ended; what it ended with counts
	select {
	case <-c.ended:
	case <-time.After(within):
		c.Kill()
		return fmt.Errorf("no end within %s", within)
	}
	return c.err
}

const (
	// startWithin bounds the wait until a server listens: Kafka takes the longest.
	startWithin = 3 * time.Minute
	// reviveAfter is the pause before a server that ended by itself is started again.
	reviveAfter = 200 * time.Millisecond
)

// Server is a child that listens at an address.
type Server struct {
	Addr string   // host:port
	Log  string   // the file to whose end it writes
	Args []string // the program first
	// Revived: one that ends by itself is started again, as a supervisor would.
	Revived bool

	mu     sync.Mutex
	child  *Child
	killed bool // on purpose
}

// Start blocks until it listens.
func (s *Server) Start(ctx context.Context) error {
	s.mu.Lock()
	s.killed = false
	err := s.spawn()
	s.mu.Unlock()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	return Until(ctx, filepath.Base(s.Args[0])+" listens at "+s.Addr, func() (string, error) {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", s.Addr)
		if err == nil {
			return "", conn.Close()
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.Revived {
			return err.Error(), nil
		}
		return err.Error(), s.child.Gone()
	})
}

// spawn starts the child; s.mu is held.
func (s *Server) spawn() error {
	child, err := StartChild(s.Log, nil, s.Args[0], s.Args[1:]...)
	if err != nil {
		return err
	}
	s.child = child
	if s.Revived {
		go s.revive(child) // ends a while after it
	}
	return nil
}

func (s *Server) revive(child *Child) {
	<-child.Ended()
	time.Sleep(reviveAfter)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.killed && s.child == child {
		_ = s.spawn() // who needs it finds out
	}
}

// Kill kills it, and blocks until it is gone. One that was not started is nil.
func (s *Server) Kill() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.killed = true
	s.child.Kill()
}

// Again kills it and starts it.
func (s *Server) Again(ctx context.Context) error {
	s.Kill()
	return s.Start(ctx)
}

// PID is that of its process.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.child.PID()
}

func (s *Server) signal(sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.child.cmd.Process.Signal(sig)
}
