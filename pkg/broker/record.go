// Package broker is the only importer of kafka-go: it fetches, produces, provisions topics and takes part in consumer
// groups, with the settings that lose nothing and its own classes of errors.
package broker

import "time"

// Record is one record of a log. Offset and Time are set by the broker and ignored when producing, except that a
// non-zero Time is kept as the record's create time. Nobody writes into Key, Value and Headers once they are set: a record that was
// read shares its memory with others, and strings are views of it (event.FromRecord).
type Record struct {
	Topic     string
	Partition int
	Offset    int64
	Key       []byte
	Value     []byte
	Headers   Headers
	Time      time.Time
	// Unreadable says why the records of a batch cannot be read, of class Permanent: they are damaged, or decompressed
	// larger than anybody should hold in memory. All of them are this one record, at the last of their offsets, with
	// neither key, value nor headers. Nil for what can be read, and ignored when producing.
	Unreadable error `json:"-"`
}

// TopicPartition names one log.
type TopicPartition struct {
	Topic     string
	Partition int
}

// Position is where to read one log from, and how many bytes to take from it at most in one fetch (0: 1 MiB). At least one
// record is returned whatever its size.
type Position struct {
	TopicPartition
	Offset   int64
	MaxBytes int
}

// Fetched is what one fetch brought from one log.
type Fetched struct {
	TopicPartition
	// Records from the asked offset on, without gaps other than those of the log. May be empty.
	Records []Record
	// Next is the offset to fetch from next: past the last record, also when the log has a gap there.
	Next int64
	// End is the offset that the next appended record will get, as the broker knew it when it answered.
	End int64
	// Start is the first offset that the log still holds.
	Start int64
	// Err is nil, or why this log could not be read: of class Unavailable when a later try may help (leader moved,
	// broker gone), ErrOutOfRange when the offset is not in [Start, End].
	Err error
}

// Batch is what to append to one log, in order, in one append: either all records are appended or none.
type Batch struct {
	TopicPartition
	Records []Record
}

// Produced is what became of a batch.
type Produced struct {
	TopicPartition
	// Base is the offset of the batch's first record.
	Base int64
	// Err is nil when all in-sync replicas have the batch. After a time-out the batch may be in the log or appear there
	// later: class Unavailable, unknown outcome. Permanent when the broker will never take it (too large, not authorized).
	Err error
}

// Topic is a topic to provision or to check.
type Topic struct {
	Name       string
	Partitions int
	// Retention of records; 0 means for ever.
	Retention time.Duration
	// MaxBytes is how large a batch may be; 0 means the broker's own limit (Kafka's default: 1 MiB).
	MaxBytes int
}
