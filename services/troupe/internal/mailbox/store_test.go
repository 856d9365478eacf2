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
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
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
	if err := second.append("", nil, rawMail("x")); !errors.Is(err, errStopped) {
		t.Errorf("append after the stop: %v", err)
	}
}

func TestATornMailIsRemovedWhereverItWasTorn(t *testing.T) {
	dir := t.TempDir()
	s, stop := running(t, dir)
	var ends []int64
	for i := range 3 {
		if err := s.append("", nil, rawMail(fmt.Sprint("m", i))); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, s.end)
	}
	stop()
	whole, err := os.ReadFile(filepath.Join(dir, "mail.log"))
	if err != nil || int64(len(whole)) != ends[2] {
		t.Fatal(err, len(whole), ends)
	}
	tails := map[string][]byte{
		"zeros":          append(whole[:ends[1]:ends[1]], make([]byte, 5000)...),
		"half a head":    whole[:ends[1]+5],
		"wrong checksum": append(whole[:ends[2]-1:ends[2]-1], 'x'),
	}
	for n := ends[1] + 1; n < ends[2]; n++ {
		tails[fmt.Sprint("cut at ", n)] = whole[:n]
	}
	for name, log := range tails {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "mail.log"), log, 0o600); err != nil {
			t.Fatal(err)
		}
		s, stop := running(t, dir)
		if len(s.all()) != 2 {
			t.Fatalf("%s: %d mails", name, len(s.all()))
		}
		if err := s.append("", nil, rawMail("after")); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		stop()
		s, stop = running(t, dir)
		if _, raw, err := s.get(3); err != nil || string(raw) != string(rawMail("after")) {
			t.Fatalf("%s: %q %v", name, raw, err)
		}
		stop()
	}
}

func TestADamagedLogIsNotCutShort(t *testing.T) {
	dir := t.TempDir()
	s, stop := running(t, dir)
	for i := range 3 {
		if err := s.append("", nil, rawMail(fmt.Sprint("m", i))); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	path := filepath.Join(dir, "mail.log")
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
		if _, err := openStore(dir, 1000); fault.ClassOf(err) != fault.Permanent || !strings.Contains(err.Error(), "damaged at byte") {
			t.Errorf("damaged at %d: %v", at, err)
		}
		if after, _ := os.ReadFile(path); len(after) != len(whole) {
			t.Errorf("damaged at %d: the log was changed", at)
		}
	}
}

// fakeDisk records how mails were written; sync is called for each Sync.
type fakeDisk struct {
	disk
	sync  func() error
	syncs int
}

func (d *fakeDisk) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (d *fakeDisk) Close() error                           { return nil }
func (d *fakeDisk) Sync() error                            { d.syncs++; return d.sync() }

func TestMailsOfOneMomentShareAnFsyncAndNoneIsAnsweredBeforeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &fakeDisk{sync: func() error {
			time.Sleep(time.Millisecond) //nolint:forbidigo // in a synctest bubble
			return nil
		}}
		s := newStore(d, 1000)
		stop := run(t, s, nil)
		began := time.Now()
		var senders sync.WaitGroup
		for range 100 {
			senders.Go(func() {
				if err := s.append("", nil, rawMail("x")); err != nil {
					t.Error(err)
				}
				if time.Since(began) < time.Millisecond {
					t.Error("answered before the fsync returned")
				}
			})
		}
		senders.Wait()
		if len(s.all()) != 100 || d.syncs > 3 {
			t.Errorf("%d mails with %d fsyncs", len(s.all()), d.syncs)
		}
		stop()
	})
}

func TestADiskThatFailsEndsTheStore(t *testing.T) {
	broken := errors.New("no space left on device")
	s := newStore(&fakeDisk{sync: func() error { return broken }}, 10)
	run(t, s, broken)
	if err := s.append("", nil, rawMail("x")); !errors.Is(err, broken) {
		t.Errorf("first: %v", err)
	}
	if err := s.append("", nil, rawMail("y")); !errors.Is(err, errStopped) {
		t.Errorf("second: %v", err)
	}
	if len(s.all()) != 0 {
		t.Error("a mail that is not on disk is shown")
	}
}

func TestAFullMailboxTakesNoMore(t *testing.T) {
	s := newStore(&fakeDisk{sync: func() error { return nil }}, 2)
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
