package mailbox

import (
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
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
)

// Message is a mail as it came in, without its content.
type Message struct {
	// ID numbers the mails of a mailbox from 1 in the order they were stored.
	ID int64 `json:"id"`
	// MessageID, Subject and Date are the mail's own header fields, empty when it has none; MessageID without angle brackets.
	MessageID string `json:"message_id"`
	Subject   string `json:"subject"`
	Date      string `json:"date"`
	// From and To are the envelope's.
	From string   `json:"from"`
	To   []string `json:"to"`
	// Received is when it was stored, UTC.
	Received time.Time `json:"received_at"`
	// Size of the mail as it came, in bytes.
	Size int `json:"size"`

	at int64 // offset of the content in the log
}

// Bounds of one fsync.
const (
	maxBatch      = 256
	maxBatchBytes = 8 << 20
)

var (
	errFull    = errors.New("mailbox is full")
	errStopped = errors.New("mailbox is stopping")
)

// store keeps mails in one file that only grows, and their headers in memory. One goroutine writes; whatever arrives while it
// writes shares the next fsync.
type store struct {
	file    disk
	max     int
	appends chan *appending
	stopped chan struct{} // closed when run has ended

	mu       sync.RWMutex
	messages []Message // by id, without gaps
	end      int64     // of the log
}

// disk is what the store asks of its file.
type disk interface {
	io.ReaderAt
	io.WriterAt
	Sync() error
	Close() error
}

// appending is a mail on its way into the log.
type appending struct {
	message Message
	raw     []byte
	done    chan error // has room for the answer
}

// openStore reads the log of a directory. A last mail that was not written to its end, and so never answered with 250, is
// removed; a log that is damaged anywhere else is an error.
func openStore(dir string, limit int) (*store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fault.New(fault.Permanent, "mailbox directory: %w", err)
	}
	path := filepath.Join(dir, "mail.log")
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fault.New(fault.Permanent, "mailbox: %w", err)
	}
	s := newStore(file, limit)
	torn, err := s.read(file)
	if err == nil && torn > 0 {
		slog.Warn("removing a mail that was not written to its end", "bytes", torn)
		err = file.Truncate(s.end)
	}
	if err = errors.Join(err, syncDir(dir)); err != nil {
		return nil, errors.Join(fault.New(fault.Permanent, "mailbox log %s: %w", path, err), file.Close())
	}
	return s, nil
}

func newStore(file disk, limit int) *store {
	return &store{file: file, max: limit, appends: make(chan *appending), stopped: make(chan struct{})}
}

// syncDir makes the file itself, not only its content, survive.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// append stores a mail and returns when it is on disk. errFull and errStopped mean that it is not stored; so does any other
// error, which also ends the mailbox.
func (s *store) append(from string, to []string, raw []byte) error {
	a := &appending{message: describe(from, to, raw), raw: raw, done: make(chan error, 1)}
	select {
	case s.appends <- a:
	case <-s.stopped:
		return errStopped
	}
	return <-a.done
}

// run writes until ctx ends and what was taken is answered. It owns the file.
func (s *store) run(ctx context.Context) error {
	defer close(s.stopped)
	for {
		select {
		case a := <-s.appends:
			if err := s.write(s.gather(a)); err != nil {
				return errors.Join(fault.New(fault.Permanent, "mailbox log: %w", err), s.file.Close())
			}
		case <-ctx.Done():
			return s.file.Close()
		}
	}
}

// gather takes what else waits by now.
func (s *store) gather(first *appending) []*appending {
	batch, size := []*appending{first}, len(first.raw)
	for len(batch) < maxBatch && size < maxBatchBytes {
		select {
		case a := <-s.appends:
			batch, size = append(batch, a), size+len(a.raw)
		default:
			return batch
		}
	}
	return batch
}

// write puts a batch into the log with one fsync and answers each of it. After an error nobody knows what is on disk: the
// next start finds out.
func (s *store) write(batch []*appending) error {
	s.mu.RLock()
	next, at := len(s.messages), s.end
	s.mu.RUnlock()
	var out bytes.Buffer
	var stored []*appending
	for _, a := range batch {
		if next+len(stored) >= s.max {
			a.done <- errFull
			continue
		}
		a.message.ID = int64(next+len(stored)) + 1
		a.message.Received = time.Now().UTC()
		head, err := json.Marshal(a.message)
		if err != nil {
			a.done <- err
			continue
		}
		a.message.at = at + int64(out.Len()) + frameHead + int64(len(head)) + 1
		writeFrame(&out, head, a.raw)
		stored = append(stored, a)
	}
	_, err := s.file.WriteAt(out.Bytes(), at)
	if err == nil {
		err = s.file.Sync()
	}
	if err == nil {
		s.mu.Lock()
		s.end += int64(out.Len())
		for _, a := range stored {
			s.messages = append(s.messages, a.message)
		}
		s.mu.Unlock()
	}
	for _, a := range stored {
		a.done <- err
	}
	return err
}

// all returns every mail, oldest first. The slice must not be changed; later mails do not appear in it.
func (s *store) all() []Message {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.messages[:len(s.messages):len(s.messages)]
}

// get returns a mail with its content; the error is NotFound when there is none with this id.
func (s *store) get(id int64) (Message, []byte, error) {
	all := s.all()
	if id < 1 || id > int64(len(all)) {
		return Message{}, nil, fault.New(fault.NotFound, "there is no mail %d", id)
	}
	m := all[id-1]
	raw := make([]byte, m.Size)
	if _, err := s.file.ReadAt(raw, m.at); err != nil {
		return Message{}, nil, fmt.Errorf("read mail %d: %w", id, err)
	}
	return m, raw, nil
}
