package mailbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/services/troupe/internal/journal"
)

func rawMail(id string) []byte {
	return []byte("Message-ID: <" + id + ">\r\nSubject: about " + id + "\r\n\r\nHello\n" + strings.Repeat(id, 10) + "\r\n")
}

// running returns a store that runs as long as the test, and a function that stops it before.
func running(t *testing.T, dir string) (*store, func()) {
	t.Helper()
	s, err := openStore(dir, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return s, run(t, s, nil)
}

func run(t *testing.T, s *store, want error) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- s.run(ctx) }() // stop waits for it
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; !errors.Is(err, want) {
			t.Errorf("store ended with %v, want %v", err, want)
		}
	})
	t.Cleanup(stop)
	return stop
}

func TestWhatWasTakenIsThereAfterAKill(t *testing.T) {
	dir := t.TempDir()
	first, _ := running(t, dir)
	for i := range 5 {
		if err := first.append("from@example.com", []string{"to@example.com"}, rawMail(fmt.Sprint("m", i))); err != nil {
			t.Fatal(err)
		}
	}
	// The first store is not closed: a killed process does not close anything either.
	second, stop := running(t, dir)
	all := second.all()
	if len(all) != 5 || all[4].MessageID != "m4" || all[4].Subject != "about m4" || all[4].ID != 5 || all[4].To[0] != "to@example.com" {
		t.Fatalf("%+v", all)
	}
	if _, raw, err := second.get(3); err != nil || string(raw) != string(rawMail("m2")) {
		t.Fatalf("%s %v", raw, err)
	}
	stop()
	if err := second.append("", nil, rawMail("x")); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("append after the stop: %v", err)
	}
}

func TestAMailThatWasNotConfirmedIsRemoved(t *testing.T) {
	dir := t.TempDir()
	s, stop := running(t, dir)
	for i := range 3 {
		if err := s.append("", nil, rawMail(fmt.Sprint("m", i))); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	path := filepath.Join(dir, journalFile)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, whole[:len(whole)-2], 0o600); err != nil { // killed while the last line was written
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, mailsDir, "half.eml"), []byte("Sub"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, stop = running(t, dir)
	if files, err := os.ReadDir(filepath.Join(dir, mailsDir)); err != nil || len(files) != 2 || len(s.all()) != 2 {
		t.Fatalf("%v %v, %d mails", files, err, len(s.all()))
	}
	if err := s.append("", nil, rawMail("after")); err != nil {
		t.Fatal(err)
	}
	stop()
	s, _ = running(t, dir)
	if m, raw, err := s.get(3); err != nil || string(raw) != string(rawMail("after")) || !strings.HasSuffix(m.File, ".eml") {
		t.Fatalf("%+v %q %v", m, raw, err)
	}
}

func TestADamagedMailboxIsNotCutShort(t *testing.T) {
	dir := t.TempDir()
	s, stop := running(t, dir)
	for i := range 3 {
		if err := s.append("", nil, rawMail(fmt.Sprint("m", i))); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	refused := func(what, want string) {
		t.Helper()
		if _, err := openStore(dir, 1000); fault.ClassOf(err) != fault.Permanent || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	path := filepath.Join(dir, journalFile)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{0, 5, 20, len(whole) / 2} {
		log := append([]byte{}, whole...)
		log[at] ^= 0xff
		if err := os.WriteFile(path, log, 0o600); err != nil {
			t.Fatal(err)
		}
		refused(fmt.Sprint("damaged at ", at), "is damaged")
		if after, _ := os.ReadFile(path); len(after) != len(whole) {
			t.Errorf("damaged at %d: the journal was changed", at)
		}
	}
	lines := strings.SplitAfter(string(whole), "\n")
	if err := os.WriteFile(path, []byte(lines[0]+lines[2]), 0o600); err != nil {
		t.Fatal(err)
	}
	refused("a line is gone", "mail 3 where 2 is next")
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	mail := filepath.Join(dir, mailsDir, s.all()[1].File)
	if err := os.Truncate(mail, 5); err != nil {
		t.Fatal(err)
	}
	refused("a mail is cut", "has 5 bytes")
	if err := os.Remove(mail); err != nil {
		t.Fatal(err)
	}
	refused("a mail is gone", "no such file")
}

func TestADiskThatFailsEndsTheStore(t *testing.T) {
	dir := t.TempDir()
	s, err := openStore(dir, 10)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, mailsDir)); err != nil {
		t.Fatal(err)
	}
	run(t, s, os.ErrNotExist)
	for range 2 {
		if err := s.append("", nil, rawMail("x")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%v", err)
		}
	}
	if len(s.all()) != 0 {
		t.Error("a mail that is not on disk is shown")
	}
}

func TestAFullMailboxTakesNoMore(t *testing.T) {
	s, err := openStore(t.TempDir(), 2)
	if err != nil {
		t.Fatal(err)
	}
	run(t, s, nil)
	for i, want := range []error{nil, nil, errFull, errFull} {
		if err := s.append("", nil, rawMail("x")); !errors.Is(err, want) {
			t.Errorf("mail %d: %v, want %v", i, err, want)
		}
	}
}

func TestADirectoryThatCannotBeUsedIsNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openStore(filepath.Join(file, "sub"), 1); fault.ClassOf(err) != fault.Permanent || !strings.Contains(err.Error(), file) {
		t.Errorf("%v", err)
	}
}
