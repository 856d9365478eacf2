package brokertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
)

func (s *suite) provision(t *testing.T) {
	a := broker.Topic{Name: "a.v1", Partitions: 3, Retention: time.Hour}
	forever := broker.Topic{Name: "forever.v1", Partitions: 2}
	err := s.Check(s.ctx, []broker.Topic{a})
	wantClass(t, "check of a missing topic", err, fault.Unavailable, "waiting for topic", a.Name)
	var instances sync.WaitGroup
	for range 3 { // instances of a service start at once
		instances.Go(func() {
			if err := s.Provision(s.ctx, []broker.Topic{a, forever}); err != nil {
				t.Errorf("provision: %v", err)
			}
		})
	}
	instances.Wait()
	if err = s.Check(s.ctx, []broker.Topic{a, forever}); err != nil {
		t.Errorf("check of what was provisioned: %v", err)
	}
	wrong := broker.Topic{Name: a.Name, Partitions: 4}
	err = s.Check(s.ctx, []broker.Topic{forever, wrong})
	wantClass(t, "check of another number", err, fault.Permanent, a.Name, "3", "4")
	err = s.Provision(s.ctx, []broker.Topic{wrong})
	wantClass(t, "provision of another number", err, fault.Permanent, a.Name, "3", "4")
	for p := range 3 { // each log can be written at once
		s.mustPut(t, broker.Batch{TopicPartition: s.log(a.Name, p), Records: []broker.Record{{Key: []byte("k")}}})
	}
}

func (s *suite) produceAndFetch(t *testing.T) {
	s.topics(t, 1, "a")
	tp := s.log("a", 0)
	at := time.UnixMilli(1_700_000_000_123)
	records := []broker.Record{
		{Key: []byte("k1"), Value: []byte("v1"), Time: at,
			Headers: broker.HeadersOf("h", "1", "h", "2", "empty", "").Append("null", nil)},
		{Key: []byte{0, 255}, Value: nil},
		{Key: []byte("k3"), Value: bytes.Repeat([]byte("x"), 10_000)},
	}
	before := time.Now().Truncate(time.Millisecond)
	if p := s.mustPut(t, broker.Batch{TopicPartition: tp, Records: records})[tp]; p.Base != 0 {
		t.Errorf("first base %d, want 0", p.Base)
	}
	if p := s.mustPut(t, broker.Batch{TopicPartition: tp, Records: records[:1]})[tp]; p.Base != 3 {
		t.Errorf("second base %d, want 3", p.Base)
	}
	got := s.readAll(t, 0, map[broker.TopicPartition]int64{tp: 0})[tp]
	if len(got) != 4 {
		t.Fatalf("read %d records, want 4", len(got))
	}
	for i, want := range append(records, records[0]) {
		if !sameRecord(got[i], want) || got[i].Offset != int64(i) {
			t.Errorf("record %d came back as %+v", i, got[i])
		}
	}
	if !got[0].Time.Equal(at) {
		t.Errorf("time %v, want %v", got[0].Time, at)
	}
	if got[1].Time.Before(before) || got[1].Time.After(time.Now()) {
		t.Errorf("a record without a time got %v", got[1].Time)
	}
	starts, err := s.Starts(s.ctx, []broker.TopicPartition{tp})
	ends, eerr := s.Ends(s.ctx, []broker.TopicPartition{tp})
	if err != nil || eerr != nil || starts[tp] != 0 || ends[tp] != 4 {
		t.Errorf("starts %v %v, ends %v %v", starts, err, ends, eerr)
	}
}

// manyLogs appends to all logs in one call, many times, and reads all of them back with one fetch at a time.
func (s *suite) manyLogs(t *testing.T) {
	const partitions, rounds, each = 12, 20, 5
	s.topics(t, partitions, "a", "b")
	want, from := map[broker.TopicPartition][]broker.Record{}, map[broker.TopicPartition]int64{}
	for round := range rounds {
		var batches []broker.Batch
		for _, topic := range []string{"a", "b"} {
			for p := range partitions {
				b := broker.Batch{TopicPartition: s.log(topic, p)}
				for i := range each {
					value := fmt.Appendf(nil, "%s %d %d %d", topic, p, round, i)
					b.Records = append(b.Records, broker.Record{Key: []byte("k"), Value: value})
				}
				batches = append(batches, b)
				want[b.TopicPartition] = append(want[b.TopicPartition], b.Records...)
				from[b.TopicPartition] = 0
			}
		}
		for tp, p := range s.mustPut(t, batches...) {
			if p.Base != int64(round*each) {
				t.Fatalf("round %d to %v: base %d, want %d", round, tp, p.Base, round*each)
			}
		}
	}
	for tp, got := range s.readAll(t, 0, from) {
		if !slices.EqualFunc(got, want[tp], sameRecord) {
			t.Errorf("%v came back with %d records, or in another order", tp, len(got))
		}
	}
}

// largeBatches reads with a limit far below one record, and with logs that fill the whole answer.
func (s *suite) largeBatches(t *testing.T) {
	const partitions, size = 6, 700_000
	s.topics(t, partitions, "a")
	from := map[broker.TopicPartition]int64{}
	for round := range 2 {
		var batches []broker.Batch
		for p := range partitions {
			from[s.log("a", p)] = 0
			batches = append(batches, broker.Batch{TopicPartition: s.log("a", p), Records: []broker.Record{
				{Key: []byte("large"), Value: bytes.Repeat([]byte{byte(round)}, size)},
				{Key: []byte("small"), Value: []byte{byte(round)}}}})
		}
		s.mustPut(t, batches...)
	}
	for _, maxBytes := range []int{1, 1 << 20, 1 << 24} {
		for tp, got := range s.readAll(t, maxBytes, from) {
			if len(got) != 4 || len(got[0].Value) != size || got[2].Value[0] != 1 || string(got[3].Key) != "small" {
				t.Errorf("limit %d: %v came back with %d records", maxBytes, tp, len(got))
			}
		}
	}
}

func (s *suite) refusals(t *testing.T) {
	s.topics(t, 3, "a")
	noise := make([]byte, 3<<20) // which no codec makes smaller
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise)
	good := []broker.Record{{Key: []byte("k"), Value: []byte("v")}}
	produced := s.put(
		broker.Batch{TopicPartition: s.log("a", 0), Records: []broker.Record{good[0], {Value: []byte("no key")}}},
		broker.Batch{TopicPartition: s.log("a", 1), Records: []broker.Record{{Key: []byte("k"), Value: noise}}},
		broker.Batch{TopicPartition: s.log("a", 2), Records: good},
	)
	wantClass(t, "a record without a key", produced[s.log("a", 0)].Err, fault.Permanent, "key")
	wantClass(t, "a batch that is too large", produced[s.log("a", 1)].Err, fault.Permanent)
	if p := produced[s.log("a", 2)]; p.Err != nil || p.Base != 0 {
		t.Errorf("a good batch beside bad ones: %+v", p)
	}
	wantClass(t, "an empty batch", s.put(broker.Batch{TopicPartition: s.log("a", 0)})[s.log("a", 0)].Err,
		fault.Permanent, "empty")
	ends, err := s.Ends(s.ctx, []broker.TopicPartition{s.log("a", 0), s.log("a", 1), s.log("a", 2)})
	if err != nil || ends[s.log("a", 0)] != 0 || ends[s.log("a", 1)] != 0 || ends[s.log("a", 2)] != 1 {
		t.Errorf("ends %v, %v: refused batches leave nothing", ends, err)
	}
}

func (s *suite) unknownTopic(t *testing.T) {
	s.topics(t, 1, "a")
	none := s.log("none", 0)
	batch := broker.Batch{TopicPartition: none, Records: []broker.Record{{Key: []byte("k")}}}
	wantClass(t, "produce", s.put(batch)[none].Err, fault.Unavailable, "none")
	_, err := s.Ends(s.ctx, []broker.TopicPartition{s.log("a", 0), none})
	wantClass(t, "ends", err, fault.Unavailable, "none")
	s.mustPut(t, broker.Batch{TopicPartition: s.log("a", 0), Records: batch.Records})
	fetched, err := s.Fetch(s.ctx, []broker.Position{{TopicPartition: none}, {TopicPartition: s.log("a", 0)},
		{TopicPartition: s.log("a", 1)}})
	if err != nil || len(fetched) != 3 {
		t.Fatalf("fetch: %v, %v", fetched, err)
	}
	for _, f := range fetched {
		if f.TopicPartition == s.log("a", 0) {
			if f.Err != nil || len(f.Records) != 1 {
				t.Errorf("a good log beside unknown ones: %+v", f)
			}
			continue
		}
		wantClass(t, "fetch", f.Err, fault.Unavailable, f.Topic)
	}
	wantClass(t, "asking has created it", s.Check(s.ctx, []broker.Topic{{Name: "none", Partitions: 1}}), fault.Unavailable)
}

func (s *suite) outOfRange(t *testing.T) {
	s.topics(t, 1, "a", "b")
	a, b := s.log("a", 0), s.log("b", 0)
	for range 5 {
		s.mustPut(t, broker.Batch{TopicPartition: a, Records: []broker.Record{{Key: []byte("k")}, {Key: []byte("k")}}})
	}
	s.mustPut(t, broker.Batch{TopicPartition: b, Records: []broker.Record{{Key: []byte("k")}}})
	s.Trim(a, 4)
	for _, offset := range []int64{0, 3, 11} {
		fetched, err := s.Fetch(s.ctx, []broker.Position{{TopicPartition: a, Offset: offset}, {TopicPartition: b}})
		if err != nil {
			t.Fatalf("fetch: %v", err)
		}
		for _, f := range fetched {
			switch {
			case f.TopicPartition == a && (!errors.Is(f.Err, broker.ErrOutOfRange) || f.Start != 4 || f.End != 10 ||
				len(f.Records) > 0):
				t.Errorf("at %d: %+v, want out of range, start 4, end 10", offset, f)
			case f.TopicPartition == b && (f.Err != nil || len(f.Records) != 1):
				t.Errorf("the log beside it: %+v", f)
			}
		}
	}
	if got := s.readAll(t, 0, map[broker.TopicPartition]int64{a: 4})[a]; len(got) != 6 || got[0].Offset != 4 {
		t.Errorf("from the start: %d records", len(got))
	}
	starts, err := s.Starts(s.ctx, []broker.TopicPartition{a})
	if err != nil || starts[a] != 4 {
		t.Errorf("starts %v, %v", starts, err)
	}
}

// middleOfABatch: a broker sends whole batches, also what lies before the asked offset.
func (s *suite) middleOfABatch(t *testing.T) {
	s.topics(t, 1, "a")
	tp := s.log("a", 0)
	var records []broker.Record
	for i := range 10 {
		records = append(records, broker.Record{Key: []byte("k"), Value: []byte{byte(i)}})
	}
	s.mustPut(t, broker.Batch{TopicPartition: tp, Records: records})
	for from := range int64(10) {
		got := s.readAll(t, 0, map[broker.TopicPartition]int64{tp: from})[tp]
		if len(got) != int(10-from) || got[0].Value[0] != byte(from) {
			t.Errorf("from %d: %d records", from, len(got))
		}
	}
}

// fetchWaits: a fetch at the ends of the logs brings what is appended while it waits, or comes back empty.
func (s *suite) fetchWaits(t *testing.T) {
	s.topics(t, 4, "a")
	var at []broker.Position
	for p := range 4 {
		at = append(at, broker.Position{TopicPartition: s.log("a", p)})
	}
	fetched, err := s.Fetch(s.ctx, at)
	if err != nil || len(fetched) != 4 {
		t.Fatalf("fetch of empty logs: %v, %v", fetched, err)
	}
	for _, f := range fetched {
		if f.Err != nil || len(f.Records) > 0 || f.Next != 0 || f.End != 0 {
			t.Errorf("fetch of an empty log: %+v", f)
		}
	}
	for i := range 3 {
		appended := make(chan struct{})
		go func() {
			defer close(appended)
			tp := at[2].TopicPartition
			records := []broker.Record{{Key: []byte("k"), Value: []byte{byte(i)}}}
			if p := s.put(broker.Batch{TopicPartition: tp, Records: records})[tp]; p.Err != nil {
				t.Errorf("produce: %v", p.Err)
			}
		}()
		for got := 0; got == 0; {
			fetched, err := s.Fetch(s.ctx, at)
			if err != nil {
				t.Fatalf("fetch: %v", err)
			}
			for _, f := range fetched {
				for _, r := range f.Records {
					if got++; r.Value[0] != byte(i) {
						t.Errorf("brought %v, want %d", r.Value, i)
					}
					at[2].Offset = f.Next
				}
			}
		}
		<-appended
	}
}

func (s *suite) fetchEndsWithContext(t *testing.T) {
	s.topics(t, 1, "a")
	ctx, cancel := context.WithCancel(s.ctx)
	ended := make(chan error, 1)
	go func() {
		for {
			if _, err := s.Fetch(ctx, []broker.Position{{TopicPartition: s.log("a", 0)}}); err != nil {
				ended <- err
				return
			}
		}
	}()
	cancel()
	select {
	case err := <-ended:
		wantClass(t, "fetch", err, fault.Unavailable)
	case <-time.After(patience):
		t.Fatal("the fetch goes on")
	}
}
