// Package journal keeps entries in a file of JSON lines, one entry each, that is only ever appended to. What Wait has
// returned for survives kill -9 and a power cut.
package journal

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"unicode/utf8"
)

// ErrClosed is the error of a journal that was closed.
var ErrClosed = errors.New("journal: closed")

var errTorn = errors.New("it is not one JSON value in UTF-8")

// Journal is open for appending. Whoever waits for an entry writes and syncs all that were added meanwhile, so that one
// sync serves many. Its methods may be called by many goroutines.
type Journal struct {
	file  file
	alive context.Context // ends with the first failure, which is its cause
	fail  context.CancelCauseFunc

	mu      sync.Mutex // of what follows
	pending []byte
	added   uint64 // number of the last entry added
	durable uint64 // number of the last entry on disk

	flushing sync.Mutex // held by the one who writes; taken before mu
}

type file interface {
	io.WriteCloser
	Sync() error
}

// Open opens or creates the journal at path, with its directory, and hands every entry to replay, in order. A last line
// that a crash cut short was never confirmed to anybody, and is removed. An error names the file, and the line that is
// damaged, has a field that E has not, or is refused by replay.
func Open[E any](path string, replay func(E) error) (*Journal, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	entries, end, err := read(f, replay)
	if err == nil {
		err = cut(f, end)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("journal %s: %w", path, err), f.Close())
	}
	return newJournal(f, entries), nil
}

func newJournal(f file, entries uint64) *Journal {
	alive, fail := context.WithCancelCause(context.Background())
	return &Journal{file: f, alive: alive, fail: fail, added: entries, durable: entries}
}

// read returns the number of entries and the offset behind the last of them.
func read[E any](r io.Reader, replay func(E) error) (entries uint64, end int64, err error) {
	lines := bufio.NewReaderSize(r, 1<<20)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return entries, end, nil
		}
		if err != nil {
			return entries, end, err
		}
		var e E
		if bad := decode(line, &e); bad != nil {
			if _, more := lines.Peek(1); errors.Is(bad, errTorn) && errors.Is(more, io.EOF) {
				return entries, end, nil
			}
			return entries, end, fmt.Errorf("line %d is damaged: %w", entries+1, bad)
		}
		if err := replay(e); err != nil {
			return entries, end, fmt.Errorf("line %d: %w", entries+1, err)
		}
		entries++
		end += int64(len(line))
	}
}

// decode returns errTorn for what is no entry of anybody.
func decode(line []byte, into any) error {
	if !utf8.Valid(line) || !json.Valid(line) {
		return errTorn
	}
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// cut removes what follows the last whole line.
func cut(f *os.File, end int64) error {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil || size == end {
		return err
	}
	slog.Warn("removing the end of a journal that was not written completely", "bytes", size-end)
	if err := f.Truncate(end); err != nil {
		return err
	}
	if _, err := f.Seek(end, io.SeekStart); err != nil {
		return err
	}
	return f.Sync()
}

// syncDir makes a new file's name durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Add takes an entry and returns its number, counted from 1 since the file began. It is not on disk before Wait says
// so.
func (j *Journal) Add(entry any) (uint64, error) {
	line, err := json.Marshal(entry)
	if err != nil {
		return 0, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.pending = append(append(j.pending, line...), '\n')
	j.added++
	return j.added, nil
}

// Last is the number of the last entry added.
func (j *Journal) Last() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.added
}

// Durable is the number of the last entry on disk.
func (j *Journal) Durable() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.durable
}

// Wait blocks until the entry of that number, and so all before it, are on disk. After an error nobody knows what is on
// disk: the next Open finds out.
func (j *Journal) Wait(number uint64) error {
	j.flushing.Lock()
	defer j.flushing.Unlock()
	j.mu.Lock()
	lines, upTo, done := j.pending, j.added, j.durable >= number
	if !done {
		j.pending = nil
	}
	j.mu.Unlock()
	if done {
		return nil
	}
	if err := j.Err(); err != nil {
		return err
	}
	_, err := j.file.Write(lines)
	if err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		return j.Fail(fmt.Errorf("journal: %w", err))
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.durable = upTo
	return nil
}

// Fail ends the journal: what is kept beside it could not be written. It returns the first failure.
func (j *Journal) Fail(err error) error {
	j.fail(err)
	return j.Err()
}

// Watch blocks until ctx ends or the journal cannot be written any more, and returns why it cannot.
func (j *Journal) Watch(ctx context.Context) error {
	select {
	case <-ctx.Done():
	case <-j.alive.Done():
	}
	return j.Err()
}

// Err is why the journal cannot be written any more, or nil.
func (j *Journal) Err() error { return context.Cause(j.alive) }

// Close makes every later Wait for something new fail.
func (j *Journal) Close() error {
	j.flushing.Lock()
	defer j.flushing.Unlock()
	_ = j.Fail(ErrClosed)
	return j.file.Close()
}
