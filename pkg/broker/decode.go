package broker

import (
	"errors"
	"io"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/fetch"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// decode copies the records of one log out of an answer, whose bytes live in kafka-go's pools. It drops what lies before
// the asked offset (a batch comes whole), control records, and the records of aborted transactions (kafka-go leaves them
// in), and returns the offset after the last of all of these.
func decode(from Position, r *fetch.ResponsePartition) (records []Record, next int64, err error) {
	next = from.Offset
	stream, ok := r.RecordSet.Records.(*protocol.RecordStream)
	if !ok || len(stream.Records) == 0 {
		return nil, next, nil
	}
	aborted := abortedAt(r.AbortedTransactions)
	for _, batch := range stream.Records {
		keep := aborted.keeps(batch)
		for {
			record, rerr := batch.ReadRecord()
			if errors.Is(rerr, io.EOF) {
				break
			}
			if rerr == nil {
				rerr = copyRecord(record, keep && record.Offset >= from.Offset, from.TopicPartition, &records)
			}
			if rerr != nil {
				return records, next, fault.New(fault.Unavailable, "read %s/%d at %d: %w", from.Topic, from.Partition, next, rerr)
			}
			next = max(next, record.Offset+1)
		}
	}
	if next == from.Offset && next < r.HighWatermark { // a batch without records: a hole that compaction leaves
		next++
	}
	return records, next, nil
}

// copyRecord gives the record's bytes back to their pool, and appends a copy when it is to be kept.
func copyRecord(r *protocol.Record, keep bool, tp TopicPartition, records *[]Record) error {
	for _, b := range []protocol.Bytes{r.Key, r.Value} {
		if b != nil {
			defer func() { _ = b.Close() }()
		}
	}
	if !keep {
		return nil
	}
	key, err := protocol.ReadAll(r.Key)
	if err != nil {
		return err
	}
	value, err := protocol.ReadAll(r.Value)
	if err != nil {
		return err
	}
	*records = append(*records, Record{Topic: tp.Topic, Partition: tp.Partition, Offset: r.Offset, Key: key, Value: value,
		Headers: r.Headers, Time: r.Time}) // the bytes of headers are the record's own
	return nil
}

// transactions are the aborted ones in an answer, by producer: from which offset on, until its next marker.
type transactions struct {
	begin map[int64][]int64
	open  map[int64]bool
}

func abortedAt(list []fetch.ResponseTransaction) transactions {
	t := transactions{begin: map[int64][]int64{}, open: map[int64]bool{}}
	for _, a := range list { // a broker lists them by first offset
		t.begin[a.ProducerID] = append(t.begin[a.ProducerID], a.FirstOffset)
	}
	return t
}

func (t transactions) keeps(batch protocol.RecordReader) bool {
	switch b := batch.(type) {
	case *protocol.ControlBatch:
		delete(t.open, b.ProducerID)
		return false
	case *protocol.RecordBatch:
		if !b.Attributes.Transactional() {
			return true
		}
		if begin := t.begin[b.ProducerID]; len(begin) > 0 && b.BaseOffset >= begin[0] {
			t.begin[b.ProducerID], t.open[b.ProducerID] = begin[1:], true
		}
		return !t.open[b.ProducerID]
	}
	return true
}
