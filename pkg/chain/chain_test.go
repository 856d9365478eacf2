package chain_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/troupe-dev/troupe/pkg/chain"
)

func link(sequence uint64, id, previous string) chain.Link {
	return chain.Link{Sequence: sequence, ID: id, PreviousID: previous}
}

// place is a head or a link in the table.
type place struct {
	Sequence uint64
	ID       string
	Previous string // of a link
	Adopted  bool   // of a head
}

func (p place) head() chain.Head {
	return chain.Head{Sequence: p.Sequence, ID: p.ID, Adopted: p.Adopted}
}

var verdicts = map[string]chain.Verdict{
	"valid": chain.Valid, "duplicate": chain.Duplicate, "superseded": chain.Superseded, "contradicted": chain.Contradicted,
}

// The chain table of docs/protocol.md, which services/statistics passes too: after is the head of a reader from the start.
func TestTable(t *testing.T) {
	file, err := os.Open("testdata/table.json")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var table []struct {
		Name    string
		Head    place
		Link    place
		Known   bool
		Verdict string
		After   place
	}
	cases := json.NewDecoder(file)
	cases.DisallowUnknownFields()
	if err := cases.Decode(&table); err != nil {
		t.Fatal(err)
	}
	reached := map[chain.Verdict]bool{}
	for _, c := range table {
		t.Run(c.Name, func(t *testing.T) {
			want, known := verdicts[c.Verdict]
			if !known {
				t.Fatalf("no verdict is called %q", c.Verdict)
			}
			reached[want] = true
			l := link(c.Link.Sequence, c.Link.ID, c.Link.Previous)
			got, after := c.Head.head().Judge(l, c.Known), c.Head.head()
			if got == chain.Valid || got == chain.Duplicate {
				after = after.Accept(l, true)
			}
			if got != want || after != c.After.head() {
				t.Errorf("verdict %d, want %d; head %+v, want %+v", got, want, after, c.After.head())
			}
		})
	}
	if len(reached) != len(verdicts) {
		t.Errorf("of %d verdicts the table has only %v", len(verdicts), reached)
	}
}

// A head that was adopted is taken for right once the log had nothing to say: what contradicts it is superseded.
func TestConfirmed(t *testing.T) {
	head, gap := chain.Head{Sequence: 3, ID: "c", Adopted: true}, link(5, "e", "d")
	if got := head.Judge(gap, false); got != chain.Contradicted {
		t.Errorf("a gap after an adopted head: verdict %d", got)
	}
	if got := head.Confirmed().Judge(gap, false); got != chain.Superseded {
		t.Errorf("a gap after a confirmed head: verdict %d", got)
	}
	if got := chain.Forgotten(); got != (chain.Head{Adopted: true}) {
		t.Errorf("a forgotten head is %+v", got)
	}
}

// reader judges the records of one order in one topic.
type reader struct {
	head      chain.Head
	known     map[string]bool
	fromStart bool
	readBacks int
	took      []int // offsets of what took effect
}

func newReader(fromStart bool) *reader {
	return &reader{known: map[string]bool{}, fromStart: fromStart}
}

// read takes in the record at an offset, and reads the chain back where that is needed.
func (r *reader) read(log []chain.Link, at int) {
	l := log[at]
	v := r.head.Judge(l, r.known[l.ID])
	if v == chain.Contradicted {
		r.readBacks++
		r.head = chain.Head{}
		for _, before := range log[:at] {
			if r.head.Judge(before, false) == chain.Valid {
				r.head = r.head.Accept(before, true)
			}
		}
		r.head = r.head.Confirmed()
		v = r.head.Judge(l, r.known[l.ID])
	}
	switch v {
	case chain.Valid:
		r.took = append(r.took, at)
		r.known[l.ID] = true
		fallthrough
	case chain.Duplicate:
		r.head = r.head.Accept(l, r.fromStart)
	}
}

// lost are the offsets of facts that count, read by whom they came to, and of no effect there.
func lost(log []chain.Link, from int, r *reader) (offsets []int) {
	referee := newReader(true)
	for at := range log {
		referee.read(log, at)
	}
	for _, at := range referee.took {
		if at >= from && !r.known[log[at].ID] {
			offsets = append(offsets, at)
		}
	}
	return offsets
}

// everyLog calls f with every log of so many records that two writers of one chain of three can leave: what counts (a
// b c), what the other one decided in the first and in the second place (x, y after x, z after a), and copies of all
// of them, in any order. The first in the log is a first fact: nothing was taken by retention.
func everyLog(records int, f func(log []chain.Link)) {
	letters := []chain.Link{link(1, "a", ""), link(2, "b", "a"), link(3, "c", "b"), link(1, "x", ""), link(2, "y", "x"), link(2, "z", "a")}
	var extend func(log []chain.Link)
	extend = func(log []chain.Link) {
		if len(log) == records {
			f(log)
			return
		}
		for _, l := range letters {
			if len(log) > 0 || l.Sequence == 1 {
				extend(append(slices.Clip(log), l))
			}
		}
	}
	extend(nil)
}

// Who reads from the start never reads a chain back, whatever the log holds of it. Who loses its heads and goes on in
// mid-log adopts, reads back, and loses nothing that counts.
func TestEveryShortLog(t *testing.T) {
	const records = 6
	everyLog(records, func(log []chain.Link) {
		for wiped := range records { // 0: never
			r := newReader(wiped == 0)
			for at := wiped; at < records; at++ {
				r.read(log, at)
			}
			if wiped == 0 && r.readBacks > 0 {
				t.Fatalf("%v: read back %d times from the start", log, r.readBacks)
			}
			if missing := lost(log, wiped, r); len(missing) > 0 {
				t.Fatalf("%v: read from %d, lost %v", log, wiped, missing)
			}
		}
	})
}

// Why sequence 1 is the start of a chain only for who read from the start: in mid-log it can be a late copy of the
// first fact, or what another writer decided in its place. A reader that trusts it then passes over all that counts
// after it, for ever.
func TestAFirstFactInMidLogProvesNothing(t *testing.T) {
	for name, late := range map[string]chain.Link{"a late copy": link(1, "a", ""), "superseded": link(1, "x", "")} {
		log := []chain.Link{link(1, "a", ""), link(2, "b", "a"), late, link(3, "c", "b")}
		for fromStart, want := range map[bool][]int{true: {3}, false: nil} {
			r := newReader(fromStart)
			for at := 2; at < len(log); at++ { // wiped after it had read two
				r.read(log, at)
			}
			if got := lost(log, 2, r); !slices.Equal(got, want) {
				t.Errorf("%s, trusted: %v; lost %v, want %v", name, fromStart, got, want)
			}
		}
	}
}

func ExampleHead() {
	log := []chain.Link{
		{Sequence: 1, ID: "placed"},
		{Sequence: 2, ID: "paid", PreviousID: "placed"},
		{Sequence: 2, ID: "timed-out", PreviousID: "placed"}, // another writer's decision in the same place, later in the log
		{Sequence: 2, ID: "paid", PreviousID: "placed"},      // a late copy
		{Sequence: 3, ID: "confirmed", PreviousID: "paid"},
	}
	var head chain.Head
	known := map[string]bool{}
	for _, l := range log {
		switch head.Judge(l, known[l.ID]) {
		case chain.Valid:
			known[l.ID] = true
			head = head.Accept(l, true)
			fmt.Println(l.ID, "counts")
		case chain.Duplicate:
			head = head.Accept(l, true)
			fmt.Println(l.ID, "again")
		case chain.Superseded:
			fmt.Println(l.ID, "is superseded")
		}
	}
	// Output:
	// placed counts
	// paid counts
	// timed-out is superseded
	// paid again
	// confirmed counts
}
