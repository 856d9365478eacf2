package play

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/troupe-dev/troupe/pkg/fault"
)

// The file in the playground's directory that says where everything is, while it runs and is ready.
const playgroundFile = "playground.json"

// kept are the directories in the playground's directory: all that Fresh removes.
var kept = []string{"kafka", "gateway", "mailbox"}

// openDir takes the directory for this playground alone and, when asked, empties it. The function returned lets go of it.
func openDir(dir string, fresh bool) (func(), error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fault.Field("--dir", "%w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fault.Field("--dir", "%w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = lock.Close()
		return nil, fault.Field("--dir", "another playground is using %s; stop it, or choose another directory", dir)
	}
	done := func() {
		_ = os.Remove(filepath.Join(dir, playgroundFile))
		_ = lock.Close() // and with it the lock
	}
	_ = os.Remove(filepath.Join(dir, playgroundFile)) // of a playground that was killed
	for _, k := range kept {
		path := filepath.Join(dir, k)
		if fresh {
			err = os.RemoveAll(path)
		}
		if err = errors.Join(err, os.MkdirAll(path, 0o755)); err != nil {
			done()
			return nil, fmt.Errorf("prepare %s: %w", path, err)
		}
	}
	return done, nil
}

// write puts the file where others find it, whole or not at all.
func (p Playground) write(dir string) error {
	b, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	name := filepath.Join(dir, playgroundFile)
	if err := os.WriteFile(name+".new", append(b, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

// Find reads where the playground of a directory is. NotFound when none is ready there: one that was killed leaves its file.
func Find(dir string) (Playground, error) {
	var p Playground
	b, err := os.ReadFile(filepath.Join(dir, playgroundFile))
	if err == nil {
		err = json.Unmarshal(b, &p)
	}
	if errors.Is(err, os.ErrNotExist) || err == nil && errors.Is(syscall.Kill(p.PID, 0), syscall.ESRCH) {
		return Playground{}, fault.New(fault.NotFound, "no playground is ready in %s", dir)
	}
	return p, err
}
