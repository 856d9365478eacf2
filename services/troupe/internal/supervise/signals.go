package supervise

import (
	"syscall"

	"github.com/troupe-dev/troupe/pkg/fault"
)

// Kill ends the process at once (SIGKILL); it is started again. Conflict when there is no process.
func (p *Process) Kill() error { return p.Signal(syscall.SIGKILL) }

// Term asks the process to end (SIGTERM); it is started again. Conflict when there is no process.
func (p *Process) Term() error { return p.Signal(syscall.SIGTERM) }

// Stop asks the process to end (SIGTERM) and keeps it from being started again until Start. Stopping what is stopped changes
// nothing. Conflict when there is no process, as right after a death: then it will be started again.
func (p *Process) Stop() error { return p.stop(syscall.SIGTERM) }

// Strike ends the process at once (SIGKILL) and keeps it from being started again until Start; otherwise as Stop.
func (p *Process) Strike() error { return p.stop(syscall.SIGKILL) }

func (p *Process) stop(s syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wake != nil {
		return nil
	}
	if err := p.signalLocked(s); err != nil {
		return err
	}
	_ = p.signalLocked(syscall.SIGCONT) // a paused process cannot end
	p.wake = make(chan struct{})
	return nil
}

// Start lets a stopped process be started again. Conflict when it was not stopped.
func (p *Process) Start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wake == nil {
		return fault.New(fault.Conflict, "%s was not stopped, it is %s", p.spec.Name, p.status.State)
	}
	close(p.wake)
	p.wake = nil
	return nil
}

// Pause freezes the process (SIGSTOP) until Resume. Conflict when there is no process.
func (p *Process) Pause() error { return p.turn(syscall.SIGSTOP, Running, Paused) }

// Resume lets a paused process go on (SIGCONT). Conflict when there is no process.
func (p *Process) Resume() error { return p.turn(syscall.SIGCONT, Paused, Running) }

func (p *Process) turn(s syscall.Signal, from, to State) error {
	if err := p.Signal(s); err != nil {
		return err
	}
	p.set(func(st *Status) {
		if st.State == from {
			st.State = to
		}
	})
	return nil
}

// Signal sends the process a signal. Conflict when there is no process.
func (p *Process) Signal(s syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.signalLocked(s)
}

func (p *Process) signalLocked(s syscall.Signal) error {
	if p.cmd == nil {
		return fault.New(fault.Conflict, "%s has no process now, it is %s", p.spec.Name, p.status.State)
	}
	if err := p.cmd.Process.Signal(s); err != nil {
		return fault.New(fault.Conflict, "send %s to %s: %w", s, p.spec.Name, err)
	}
	return nil
}
