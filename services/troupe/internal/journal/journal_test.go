package journal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

type entry struct {
	N    int    `json:"n"`
	Text string `json:"text,omitempty"`
}

// open reads all entries of a journal.
func open(t *testing.T, path string) (*Journal, []int) {
	t.Helper()
	var read []int
	j, err := Open(path, func(e entry) error { read = append(read, e.N); return nil })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j, read
}

func write(t *testing.T, j *Journal, n int) {
	t.Helper()
	number, err := j.Add(entry{N: n, Text: "tëxt"})
	if err == nil {
		err = j.Wait(number)
	}
	if err != nil || number != uint64(n) || j.Durable() != number || j.Last() != number {
		t.Fatalf("entry %d got number %d, %v", n, number, err)
	}
}

func TestAnEntryThatWasNotWrittenToItsEndIsRemovedWhereverItWasCut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "journal.jsonl")
	j, _ := open(t, path)
	for n := range 3 {
		write(t, j, n+1)
	}
	// The journal is not closed: a killed process closes nothing either.
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	two := bytes.LastIndexByte(whole[:len(whole)-1], '\n') + 1
	tails := map[string][]byte{"zeros": append(whole[:two:two], make([]byte, 5000)...), "half a character": append(whole[:two:two], 0xc3, '\n')}
	for n := two; n < len(whole); n++ {
		tails[fmt.Sprint("cut at ", n)] = whole[:n]
	}
	for name, content := range tails {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		j, read := open(t, path)
		if fmt.Sprint(read) != "[1 2]" {
			t.Fatalf("%s: read %v", name, read)
		}
		write(t, j, 3)
		if _, read := open(t, path); fmt.Sprint(read) != "[1 2 3]" {
			t.Fatalf("%s: then read %v", name, read)
		}
	}
}

func TestADamagedJournalIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.jsonl")
	j, _ := open(t, path)
	for n := range 3 {
		write(t, j, n+1)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	one := bytes.IndexByte(whole, '\n') + 1
	damaged := map[string][]byte{}
	for at := range one {
		content := bytes.Clone(whole)
		content[at] ^= 0xff
		damaged[fmt.Sprint("byte ", at)] = content
	}
	damaged["an empty line"] = append([]byte("\n"), whole...)
	damaged["two in a line"] = bytes.Replace(whole, []byte("\n"), nil, 1)
	damaged["an unknown field"] = append([]byte(`{"n":1,"colour":"blue"}`+"\n"), whole...)
	for name, content := range damaged {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(path, func(entry) error { return nil })
		if err == nil || !strings.Contains(err.Error(), "line 1 is damaged") || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
		if after, _ := os.ReadFile(path); !bytes.Equal(after, content) {
			t.Errorf("%s: the journal was changed", name)
		}
	}
}

// A last line that was written to its end may have been confirmed, whoever can read it.
func TestALastLineThatIsWholeIsNotRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.jsonl")
	for _, last := range []string{`{"n":2,"colour":"blue"}`, `{"n":"2"}`, `2`} {
		content := "{\"n\":1}\n" + last + "\n"
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(path, func(entry) error { return nil })
		if err == nil || !strings.Contains(err.Error(), "line 2 is damaged") {
			t.Errorf("%s: %v", last, err)
		}
		if after, _ := os.ReadFile(path); string(after) != content {
			t.Errorf("%s: the journal was changed", last)
		}
	}
}

func TestWhatReplayRefusesIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.jsonl")
	j, _ := open(t, path)
	write(t, j, 1)
	refused := errors.New("not in order")
	if _, err := Open(path, func(entry) error { return refused }); !errors.Is(err, refused) || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("got %v", err)
	}
}

// fakeFile counts its syncs; sync is called for each.
type fakeFile struct {
	sync  func() error
	syncs int
}

func (f *fakeFile) Write(p []byte) (int, error) { return len(p), nil }
func (f *fakeFile) Close() error                { return nil }
func (f *fakeFile) Sync() error                 { f.syncs++; return f.sync() }

func TestEntriesOfOneMomentShareASyncAndNoneIsConfirmedBeforeIt(t *testing.T) {
	began, finish := make(chan struct{}, 100), make(chan struct{})
	f := &fakeFile{sync: func() error { began <- struct{}{}; <-finish; return nil }}
	j := newJournal(f, 0)
	var confirmed atomic.Int64
	var writers sync.WaitGroup
	add := func() {
		number, err := j.Add(entry{N: 1})
		if err != nil {
			t.Fatal(err)
		}
		writers.Go(func() {
			if err := j.Wait(number); err != nil || j.Durable() < number {
				t.Errorf("entry %d of %d: %v", number, j.Durable(), err)
			}
			confirmed.Add(1)
		})
	}
	add()
	<-began
	for range 99 {
		add()
	}
	if confirmed.Load() != 0 || j.Durable() != 0 {
		t.Error("confirmed before the sync returned")
	}
	close(finish)
	writers.Wait()
	if f.syncs != 2 {
		t.Errorf("%d syncs", f.syncs)
	}
}

func TestADiskThatFailsConfirmsNothingAnyMore(t *testing.T) {
	full := errors.New("no space left on device")
	j := newJournal(&fakeFile{sync: func() error { return full }}, 0)
	for range 2 {
		number, err := j.Add(entry{N: 1})
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Wait(number); !errors.Is(err, full) {
			t.Errorf("got %v", err)
		}
	}
	if err := j.Watch(t.Context()); !errors.Is(err, full) {
		t.Errorf("%v", err)
	}
	if err := j.Close(); err != nil || !errors.Is(j.Err(), full) || j.Durable() != 0 {
		t.Errorf("%v, %v, %d on disk", err, j.Err(), j.Durable())
	}
}

func TestAClosedJournalTakesNothingMore(t *testing.T) {
	j, _ := open(t, filepath.Join(t.TempDir(), "journal.jsonl"))
	write(t, j, 1)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := j.Wait(1); err != nil {
		t.Errorf("what is on disk: %v", err)
	}
	number, err := j.Add(entry{N: 2})
	if err == nil {
		err = j.Wait(number)
	}
	if !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
}
