package supervise

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
)

// parentVariable names the file descriptor whose end of file says that the supervisor is gone.
const parentVariable = "TROUPE_PARENT_FD"

// leashed gives the child the reading end of a pipe that nobody writes to: it ends when the supervisor lets go of the
// other end, which the kernel does for it when it is killed. The function returned lets go.
func leashed(cmd *exec.Cmd) (func(), error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make the pipe that ties a process to its supervisor: %w", err)
	}
	cmd.ExtraFiles = []*os.File{r} // file descriptor 3
	return func() { _, _ = r.Close(), w.Close() }, nil
}

// FollowParent ends this process as soon as the supervisor that started it is gone; without a supervisor it does nothing. Call it
// first in main. It works where the kernel does not do it by itself, and leaves the variable out of what children inherit.
func FollowParent() error {
	v := os.Getenv(parentVariable)
	if v == "" {
		return nil
	}
	if err := os.Unsetenv(parentVariable); err != nil {
		return err
	}
	fd, err := strconv.Atoi(v)
	if err != nil || fd < 3 {
		return fmt.Errorf("%s: must be a file descriptor from 3 on, is %q", parentVariable, v)
	}
	pipe := os.NewFile(uintptr(fd), "supervisor")
	if pipe == nil {
		return fmt.Errorf("%s: no file descriptor %d", parentVariable, fd)
	}
	go func() { // lives as long as the process
		_, _ = pipe.Read(make([]byte, 1)) // nothing is ever written
		os.Exit(1)
	}()
	return nil
}
