package mailbox

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/services/troupe/internal/journal"
)

// Message is a mail as it came in, without its content.
type Message struct {
	// ID numbers the mails of a mailbox from 1 in the order they were stored.
	ID int64 `json:"id"`
	// MessageID, Subject and Date are the mail's own header fields, empty when it has none; MessageID without angle
	// brackets.
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
	// File in the directory of mails that holds it.
	File string `json:"file"`
}

// In the mailbox's directory: the mails as they came, and a journal with a Message for each that was taken.
const (
	mailsDir    = "mails"
	journalFile = "journal.jsonl"
)

var errFull = errors.New("mailbox is full")

// store keeps each mail in a file of its own. A mail is there once its line in the journal is; its file is on disk by
// then.
type store struct {
	dir     string // of the mails
	max     int
	journal *journal.Journal

	mu       sync.Mutex
	messages []Message // by id, without gaps; the journal says how many of them are on disk
}

// openStore reads the journal. A mail that it does not know was never answered with 250, and its file is removed. A
// damaged journal is an error, and so is a mail that is not there as the journal says.
func openStore(dir string, limit int) (*store, error) {
	s := &store{dir: filepath.Join(dir, mailsDir), max: limit}
	err := os.MkdirAll(s.dir, 0o700)
	if err == nil {
		s.journal, err = journal.Open(filepath.Join(dir, journalFile), s.replay)
	}
	if err == nil {
		err = s.removeOthers()
	}
	if err != nil {
		return nil, fault.New(fault.Permanent, "mailbox: %w", err)
	}
	return s, nil
}

func (s *store) replay(m Message) error {
	if m.ID != int64(len(s.messages))+1 {
		return fmt.Errorf("mail %d where %d is next", m.ID, len(s.messages)+1)
	}
	info, err := os.Stat(filepath.Join(s.dir, m.File))
	if err == nil && info.Size() != int64(m.Size) {
		err = fmt.Errorf("%s has %d bytes where %d are said", info.Name(), info.Size(), m.Size)
	}
	s.messages = append(s.messages, m)
	return err
}

func (s *store) removeOthers() error {
	known := map[string]bool{}
	for _, m := range s.messages {
		known[m.File] = true
	}
	files, err := os.ReadDir(s.dir)
	for _, f := range files {
		if !known[f.Name()] {
			err = errors.Join(err, os.Remove(filepath.Join(s.dir, f.Name())))
		}
	}
	return err
}

// append stores a mail and returns when it is on disk. An error means that it is not stored; any other than errFull
// ends the mailbox.
func (s *store) append(from string, to []string, raw []byte) error {
	if s.full() {
		return errFull
	}
	m := describe(from, to, raw)
	m.File = time.Now().UTC().Format("20060102-150405.000-") + rand.Text()[:8] + ".eml"
	if err := writeFile(filepath.Join(s.dir, m.File), raw); err != nil {
		return s.journal.Fail(err)
	}
	number, err := s.enter(m)
	if err != nil {
		return err
	}
	return s.journal.Wait(number)
}

// full may be late by the mails that are on their way, one for each connection.
func (s *store) full() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.messages) >= s.max
}

func (s *store) enter(m Message) (number uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m.ID, m.Received = int64(len(s.messages))+1, time.Now().UTC()
	if number, err = s.journal.Add(m); err == nil {
		s.messages = append(s.messages, m)
	}
	return number, err
}

// writeFile returns when the file is on disk.
func writeFile(name string, content []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// run ends with ctx, or with an error when the disk fails.
func (s *store) run(ctx context.Context) error {
	return errors.Join(fault.As(fault.Permanent, s.journal.Watch(ctx)), s.journal.Close())
}

// all returns every mail, oldest first. The slice must not be changed; later mails do not appear in it.
func (s *store) all() []Message {
	onDisk := s.journal.Durable()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.messages[:onDisk:onDisk]
}

// get returns a mail with its content; the error is NotFound when there is none with this id.
func (s *store) get(id int64) (Message, []byte, error) {
	all := s.all()
	if id < 1 || id > int64(len(all)) {
		return Message{}, nil, fault.New(fault.NotFound, "there is no mail %d", id)
	}
	m := all[id-1]
	raw, err := os.ReadFile(filepath.Join(s.dir, m.File))
	if err != nil {
		err = fmt.Errorf("read mail %d: %w", id, err)
	}
	return m, raw, err
}
