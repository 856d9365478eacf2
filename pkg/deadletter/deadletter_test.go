package deadletter

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
)

var (
	moment = time.Date(2026, 3, 1, 12, 0, 0, 5000, time.UTC)
	came   = event.ToRecord(event.Event{
		ID: "e-1", Type: "desk.Note", Source: "desk", Subject: "o-1", Time: moment, Sequence: 1, Data: []byte("body"),
	}, "desk.events.v1", 3, broker.HeadersOf("traceparent", "00-1").Append("null", nil).Append("empty", []byte{}))
	parked = Record{
		Kind: Letter, ID: "e-1", Order: "o-1", Topic: "desk.events.v1", Partition: 3, Offset: 7, Group: "clerk", Class: "permanent",
		Message: "no such account", Exception: "goroutine 1", FirstFailure: moment, LastFailure: moment.Add(time.Second), Deliveries: 2,
		Behind: "e-0", RetryAt: moment.Add(time.Minute),
	}
)

func park(rec Record) broker.Record {
	r := came
	r.Offset = 7
	return Park(r, rec)
}

// A letter says why it waits, and gives the record back as it came.
func TestLetter(t *testing.T) {
	before := slices.Clone(came.Headers)
	letter := park(parked)
	got, err := Parse(letter)
	if diff := cmp.Diff(parked, got); diff != "" || err != nil {
		t.Errorf("(-want +got):\n%s%v", diff, err)
	}
	want := came
	want.Offset = 7
	if diff := cmp.Diff(want, Original(letter)); diff != "" {
		t.Errorf("original (-want +got):\n%s", diff)
	}
	if letter.Topic != "clerk.dead-letters.v1" || letter.Partition != 3 || letter.Offset != 0 {
		t.Errorf("goes to %s/%d@%d", letter.Topic, letter.Partition, letter.Offset)
	}
	if !slices.Equal(came.Headers, before) || !bytes.HasPrefix(letter.Headers, before) {
		t.Errorf("the record that came has headers %q now, and the letter %q", came.Headers, letter.Headers)
	}
}

// What does not fit is by reference, and known again. That an event says so of itself changes nothing.
func TestLetterByReference(t *testing.T) {
	large := came
	large.Value, large.Offset = bytes.Repeat([]byte("x"), MaxWhole), 7
	other, gone, unread := large, large, came
	other.Value, gone.Offset = bytes.Repeat([]byte("y"), MaxWhole), 8
	unread.Unreadable = errors.New("too large")
	letter := Park(large, parked)
	got, err := Parse(letter)
	if err != nil || len(letter.Value) > 0 || letter.Value == nil || got.Order != "o-1" || got.Refers(large) != nil {
		t.Errorf("%+v, %v, %v", got, err, got.Refers(large))
	}
	for _, r := range []broker.Record{other, gone, unread} {
		if err := got.Refers(r); err == nil {
			t.Errorf("it refers to %.200v", r)
		}
	}
	whole := park(parked)
	smaller, ok := ByReference(whole)
	rec, err := Parse(smaller)
	if !ok || err != nil || len(smaller.Value) > 0 || rec.Reference == "" {
		t.Errorf("%v, %+v, %v", ok, rec, err)
	}
	if _, again := ByReference(smaller); again {
		t.Error("it becomes smaller again")
	}
	forged, alone := came, parked
	forged.Headers = forged.Headers.Append(headerReference, []byte(Unread)).Append(headerRetry, []byte("2026-03-01T12:00:00Z"))
	alone.RetryAt = time.Time{}
	if rec, err := Parse(Park(forged, alone)); err != nil || rec.Reference != "" || !rec.RetryAt.IsZero() {
		t.Errorf("%+v, %v", rec, err)
	}
}

// Without a key it is its own order; what is too long is cut.
func TestLetterOfGarbage(t *testing.T) {
	letter := Park(broker.Record{Topic: "desk.events.v1", Offset: 9}, Record{ID: "desk.events.v1/0@9", Group: "clerk", Message: strings.Repeat("x", 1<<20)})
	got, err := Parse(letter)
	if err != nil || got.Order != "keyless:desk.events.v1/0@9" || got.Order != OrderOf(letter) || len(got.Message) != maxText || letter.Key == nil {
		t.Errorf("%.200v, %v", got, err)
	}
}

func TestTell(t *testing.T) {
	for _, rec := range []Record{
		{Kind: Redriven, ID: "e-1"},
		{Kind: Edited, ID: "e-1"},
		{Kind: Discarded, ID: "e-1"},
		{Kind: Failed, ID: "e-1", Class: "permanent", Message: "still", Exception: "goroutine 1", LastFailure: moment, Redrives: 3},
		{Kind: Failed, ID: "e-1", Class: "deferred", Message: "full", LastFailure: moment, RetryAt: moment.Add(time.Hour), Automatic: true},
		{Kind: Closed, Redriven: 2, Waiting: 5, Class: "conflict", Message: "not the head", LastFailure: moment},
		{Kind: Closed, ID: "e-1", Redriven: 2},
	} {
		rec.Order, rec.Group, rec.RequestID, rec.By, rec.Reason = "o-1", "clerk", "r-1", "ada", "fixed"
		r := Tell(rec, 3, moment)
		got, err := Parse(r)
		if diff := cmp.Diff(rec, got); diff != "" || err != nil {
			t.Errorf("%s (-want +got):\n%s%v", rec.Kind, diff, err)
		}
		e, err := event.FromRecord(r)
		if err != nil || e.Subject != "o-1" || e.CausationID != "r-1" || r.Topic != Topic("clerk") || r.Partition != 3 || r.Value == nil {
			t.Errorf("%s: %+v, %v", rec.Kind, r, err)
		}
		again, _ := event.FromRecord(Tell(rec, 3, moment.Add(time.Hour)))
		rec.RequestID = "r-2"
		other, _ := event.FromRecord(Tell(rec, 3, moment))
		if e.ID != again.ID || e.ID == other.ID {
			t.Errorf("%s: ids %s, %s and %s", rec.Kind, e.ID, again.ID, other.ID)
		}
	}
}

func TestRequest(t *testing.T) {
	for _, q := range []Request{
		{Action: Redrive},
		{Action: Redrive, Letter: "e-1"},
		{Action: Edit, Letter: "e-1", Payload: []byte("new")},
		{Action: Discard, Letter: "e-1"},
	} {
		q.ID, q.Order, q.By, q.Reason, q.Partition, q.At = "r-1", "o-1", "ada", "fixed", 3, moment
		r := q.Record("clerk")
		got, err := ParseRequest(r)
		if diff := cmp.Diff(q, got); diff != "" || err != nil {
			t.Errorf("%s (-want +got):\n%s%v", q.Action, diff, err)
		}
		if r.Topic != "clerk.redrive.v1" || r.Partition != 3 || string(r.Key) != "o-1" || r.Value == nil {
			t.Errorf("%+v", r)
		}
	}
	if OnRequest(came) {
		t.Error("a plain fact is taken for the answer to a letter")
	}
	fact := came
	fact.Headers = append(slices.Clone(came.Headers), Request{ID: "r-1"}.Answers()...)
	if !OnRequest(fact) {
		t.Error("the answer to a letter is not known")
	}
}

// with replaces a header, or takes it away.
func with(r broker.Record, key, value string) broker.Record {
	r.Headers = r.Headers.Without(func(k string) bool { return k == key })
	if value != "" {
		r.Headers = r.Headers.Append(key, []byte(value))
	}
	return r
}

// What cannot be read is refused by the name of what is wrong.
func TestGarbage(t *testing.T) {
	letter, request := park(parked), Request{ID: "r-1", Action: Discard, Order: "o-1", Letter: "e-1", At: moment}.Record("clerk")
	for key, values := range map[string][]string{
		headerRecord: {"", "parcel"}, headerID: {""}, headerTopic: {""}, headerPartition: {"x", "-1", "2147483648"}, headerOffset: {"1e3"},
		headerFirst: {"yesterday"}, headerRetry: {"soon"}, headerLast: {"x"}, headerRedrives: {"-1"}, headerDeliveries: {"x"}, headerWaiting: {"x"}, headerRedriven: {"x"},
	} {
		for _, v := range values {
			if _, err := Parse(with(letter, key, v)); !refused(err, key) {
				t.Errorf("%s = %q: %v", key, v, err)
			}
		}
	}
	long := strings.Repeat("x", 4097)
	for key, values := range map[string][]string{
		headerLetter: {""}, headerBy: {long}, headerReason: {long}, "ce_sequence": {"1"}, "ce_id": {"\xff"},
	} {
		for _, v := range values {
			if _, err := ParseRequest(with(request, key, v)); !refused(err, key) {
				t.Errorf("%s = %q: %v", key, v, err)
			}
		}
	}
	if _, err := ParseRequest(with(request, "ce_id", long)); !refused(err, "attribute id: must have at most 1024 bytes") {
		t.Errorf("a long id: %v", err)
	}
	for _, typ := range []string{"", "troupe.deadletter.Burn", "Discard"} {
		if _, err := ParseRequest(with(request, "ce_type", typ)); !refused(err, "type") {
			t.Errorf("type %q: %v", typ, err)
		}
	}
}

func refused(err error, name string) bool {
	var f *fault.Error
	return errors.As(err, &f) && f.Class == fault.Permanent && strings.Contains(f.Error(), name)
}

// record makes a record of bytes: header by header, key and value between them.
func record(key, value []byte, headers string) broker.Record {
	r := broker.Record{Key: key, Value: value}
	for line := range strings.SplitSeq(headers, "\n") {
		k, v, _ := strings.Cut(line, "=")
		r.Headers = r.Headers.Append(k, []byte(v))
	}
	return r
}

func headers(r broker.Record) string {
	var lines []string
	for key, value := range r.Headers.All() {
		lines = append(lines, key+"="+string(value))
	}
	return strings.Join(lines, "\n")
}

// Whatever is read as a letter can be parked again and stays what it is; whatever is refused is refused with a reason.
func FuzzParse(f *testing.F) {
	for _, r := range []broker.Record{park(parked), Tell(Record{Kind: Failed, ID: "e-1", Order: "o-1", Group: "clerk", Class: "x"}, 0, moment)} {
		f.Add(r.Key, r.Value, headers(r))
	}
	f.Fuzz(func(t *testing.T, key, value []byte, text string) {
		r := record(key, value, text)
		got, err := Parse(r)
		original := Original(r)
		if err != nil {
			if fault.ClassOf(err) != fault.Permanent {
				t.Fatalf("class %v: %v", fault.ClassOf(err), err)
			}
			return
		}
		if got.Kind != Letter {
			return
		}
		again, err := Parse(Park(original, got))
		if err != nil || again.ID != got.ID || again.Order != got.Order || again.Topic != got.Topic || again.Offset != got.Offset {
			t.Fatalf("%+v, then %+v, %v", got, again, err)
		}
	})
}

// Whatever is read as a request says who it is about, and can be said again.
func FuzzParseRequest(f *testing.F) {
	r := Request{ID: "r-1", Action: Edit, Order: "o-1", Letter: "e-1", Payload: []byte("new"), By: "ada", At: moment}.Record("clerk")
	f.Add(r.Key, r.Value, headers(r))
	f.Fuzz(func(t *testing.T, key, value []byte, text string) {
		got, err := ParseRequest(record(key, value, text))
		if err != nil {
			if fault.ClassOf(err) != fault.Permanent {
				t.Fatalf("class %v: %v", fault.ClassOf(err), err)
			}
			return
		}
		again, err := ParseRequest(got.Record("clerk"))
		if err != nil || again.ID != got.ID || again.Order != got.Order || again.Letter != got.Letter || got.Order != string(key) {
			t.Fatalf("%+v, then %+v, %v", got, again, err)
		}
	})
}
