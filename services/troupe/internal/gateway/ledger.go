package gateway

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
)

// ledgerFile is a file of JSON lines, one entry each, only ever appended to.
const ledgerFile = "ledger.jsonl"

// ledger writes entries to disk. Whoever waits for one entry writes and syncs all that were added meanwhile, so that one sync
// serves many requests.
type ledger struct {
	file   *os.File
	broken chan struct{} // closed when a write or sync has failed

	mu      sync.Mutex // of what follows
	pending []byte
	added   uint64 // number of the last entry added
	err     error  // the first failure; for good

	flushing sync.Mutex // held by the one who writes; taken before mu
	durable  uint64     // number of the last entry on disk
}

// openLedger opens or creates the ledger in dir and hands every entry to apply, in order. A last line that was torn by a crash
// was never answered for, and is cut off.
func openLedger(dir string, apply func(entry)) (*ledger, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	path := filepath.Join(dir, ledgerFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	l := &ledger{file: f, broken: make(chan struct{})}
	end, err := replay(f, apply)
	if err == nil {
		err = l.cutTo(end)
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("ledger %s: %w", path, err), f.Close())
	}
	return l, nil
}

// replay returns the offset behind the last whole line.
func replay(r io.Reader, apply func(entry)) (end int64, err error) {
	lines := bufio.NewReaderSize(r, 1<<20)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return end, nil
		}
		if err != nil {
			return end, err
		}
		var e entry
		if bad := decodeEntry(line, &e); bad != nil {
			if _, more := lines.Peek(1); errors.Is(more, io.EOF) {
				return end, nil
			}
			return end, fmt.Errorf("line %d is damaged: %w", n, bad)
		}
		apply(e)
		end += int64(len(line))
	}
}

func decodeEntry(line []byte, e *entry) error {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(e); err != nil {
		return err
	}
	if e.Intent == nil && e.Refund == nil && e.Answer == nil {
		return errors.New("it says nothing")
	}
	return nil
}

func (l *ledger) cutTo(end int64) error {
	size, err := l.file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if size == end {
		return nil
	}
	slog.Warn("ledger: cutting off a last line that was torn", "bytes", size-end)
	if err := l.file.Truncate(end); err != nil {
		return err
	}
	if _, err := l.file.Seek(end, io.SeekStart); err != nil {
		return err
	}
	return l.file.Sync()
}

// syncDir makes a new file's name durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// add takes an entry and returns its number; it is not on disk before wait says so.
func (l *ledger) add(e entry) (uint64, error) {
	line, err := json.Marshal(e)
	if err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending = append(append(l.pending, line...), '\n')
	l.added++
	return l.added, nil
}

// last is the number of the last entry added.
func (l *ledger) last() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.added
}

// wait blocks until the entry of that number, and so all before it, are on disk.
func (l *ledger) wait(number uint64) error {
	l.flushing.Lock()
	defer l.flushing.Unlock()
	if l.durable >= number {
		return nil
	}
	l.mu.Lock()
	lines, upTo, err := l.pending, l.added, l.err
	l.pending = nil
	l.mu.Unlock()
	if err != nil {
		return err
	}
	if _, err = l.file.Write(lines); err == nil {
		err = l.file.Sync()
	}
	if err != nil {
		return l.fail(fmt.Errorf("ledger: %w", err))
	}
	l.durable = upTo
	return nil
}

func (l *ledger) fail(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
		close(l.broken)
	}
	return l.err
}

// failure is why the ledger cannot be written any more, or nil.
func (l *ledger) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

func (l *ledger) close() error {
	l.flushing.Lock()
	defer l.flushing.Unlock()
	_ = l.fail(errors.New("ledger: closed"))
	return l.file.Close()
}
