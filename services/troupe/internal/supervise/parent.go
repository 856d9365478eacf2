package supervise

import (
	"io"
	"os"
)

// followVariable tells a child that its standard input is a pipe to which nobody writes: it ends when the supervisor is gone.
const followVariable = "TROUPE_FOLLOW_PARENT"

// FollowParent ends this process as soon as the supervisor that started it is gone; without a supervisor it does nothing. Call it
// first in main. It works where the kernel does not do it by itself, and leaves the variable out of what children inherit.
func FollowParent() error {
	if os.Getenv(followVariable) == "" {
		return nil
	}
	if err := os.Unsetenv(followVariable); err != nil {
		return err
	}
	go func() { // lives as long as the process
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	return nil
}
