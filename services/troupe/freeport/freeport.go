// Package freeport draws ports of loopback for what listens later, perhaps in another process.
package freeport

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
)

const (
	// Ports are drawn from below the ranges that systems use for outgoing connections, so that none is taken between two
	// lives of a process. scripts/ports draws from the same range.
	from, to = 20000, 32000
	tries    = 1000
)

var (
	mu sync.Mutex
	// taken are the ports of this process with their locks, of which the system lets go when the process ends.
	taken = map[int]*os.File{}
)

// Take returns a port on which nothing listens and that nobody else draws while this process lives; 0: there is none.
func Take() int {
	for range tries {
		if port := from + rand.IntN(to-from); Reserve(port) {
			return port
		}
	}
	return 0
}

// Reserve takes a port that somebody chose, and says whether it is free.
func Reserve(port int) bool {
	mu.Lock()
	defer mu.Unlock()
	if _, ours := taken[port]; ours {
		return false
	}
	file, err := lock(port)
	if errors.Is(err, errTaken) {
		return false
	}
	// Where no file can be locked, what listens is all that is known.
	if !IsFree(port) {
		_ = file.Close()
		return false
	}
	taken[port] = file
	return true
}

// IsFree says whether nothing listens on a port.
func IsFree(port int) bool {
	ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	return err == nil && ln.Close() == nil
}

// lock locks the file of a port, as scripts/ports does; errTaken: somebody has.
func lock(port int) (*os.File, error) {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("troupe-ports-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(port)), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lockFile(file); err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

var errTaken = errors.New("another process has drawn it")
