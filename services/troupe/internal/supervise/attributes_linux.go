package supervise

import "syscall"

// attributes: a group of its own, so that Ctrl-C in the terminal reaches the supervisor alone, which stops all in order; and
// death with the supervisor, however it dies and even when the child is paused.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
