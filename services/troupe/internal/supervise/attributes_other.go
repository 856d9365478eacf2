//go:build !linux

package supervise

import "syscall"

// attributes: a group of its own, so that Ctrl-C in the terminal reaches the supervisor alone, which stops all in order.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
