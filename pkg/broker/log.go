package broker

import (
	"context"
	"errors"
	"time"
)

// ErrOutOfRange is the Fetched.Err of an offset that the log does not hold: trimmed by retention, or of a log that was
// lost.
var ErrOutOfRange = errors.New("offset out of range")

// Log is the whole of what Troupe asks of a broker. Client implements it over kafka-go; tests implement it in memory.
// Every method blocks until done or ctx ends, and is safe for concurrent use.
type Log interface {
	// Fetch reads several logs with one request per leader, waiting up to the configured MaxWait when all are at their
	// ends. It returns one Fetched per position, in any order; the error is for a call that could not be made at all.
	Fetch(ctx context.Context, from []Position) ([]Fetched, error)
	// Produce appends batches (at most one per log) with one request per leader, acks=all, without its own retries. It
	// calls each once per batch, as the leaders answer, possibly from several goroutines, and returns after the last call.
	Produce(ctx context.Context, batches []Batch, each func(Produced))
	// Ends returns the end offset of each log (the offset the next append gets). All or an error.
	Ends(ctx context.Context, logs []TopicPartition) (map[TopicPartition]int64, error)
	// Starts returns the first offset each log still holds. All or an error.
	Starts(ctx context.Context, logs []TopicPartition) (map[TopicPartition]int64, error)
	// Identities says of each topic which one it is: a topic that is deleted and created anew has another identity, and
	// its offsets mean other records. A topic that does not exist is left out.
	Identities(ctx context.Context, topics []string) (map[string]string, error)
	// Provision creates the topics that are missing and checks those that exist. Too few partitions, or a setting that
	// cannot be right (compaction, an unclean replication setting), is an error of class Permanent that names topic and
	// setting; a broker out of reach is Unavailable.
	Provision(ctx context.Context, topics []Topic) error
	// Check is Provision without creating: a missing topic is Unavailable ("waiting for topic …").
	Check(ctx context.Context, topics []Topic) error
	// Join takes part in a consumer group until ctx ends, for the first partitions of each topic; fewer are an error of
	// class Permanent. It calls serve once per generation, in turn. serve's ctx ends when the generation does
	// (rebalance, lost session, ctx); serve must then finish and return; the generation is kept alive until it has, or
	// until the rebalance time-out. Join retries with back-off whatever is Unavailable and returns only when ctx ends
	// (nil) or on a Permanent error.
	Join(ctx context.Context, group string, topics []string, partitions int,
		serve func(ctx context.Context, g Generation) error) error
}

// Generation is one membership of a consumer group with its assignment. Its commits are fenced by the broker with the
// generation's own id: an old generation cannot move offsets.
type Generation interface {
	// ID of the generation and the member, for logs.
	ID() string
	// Assigned lists the logs of this member; a group has the same partitions of all topics and range assignment, so
	// partition p of every topic is assigned together.
	Assigned() []TopicPartition
	// Committed returns the offset committed for a log, or -1 when there is none.
	Committed(tp TopicPartition) int64
	// Commit stores offsets with this generation's id. An error of class Conflict means that the generation is over.
	Commit(ctx context.Context, offsets map[TopicPartition]int64) error
	// Holds asks the group whether this generation is still current; nil when it is, Conflict when it is over.
	Holds(ctx context.Context) error
}

// TopicPartition names one log.
type TopicPartition struct {
	Topic     string
	Partition int
}

// LogsOf lists the logs of some topics that have as many partitions each, those of the first topic first.
func LogsOf(partitions int, topics ...string) []TopicPartition {
	logs := make([]TopicPartition, 0, partitions*len(topics))
	for _, topic := range topics {
		for p := range partitions {
			logs = append(logs, TopicPartition{topic, p})
		}
	}
	return logs
}

// Position is where to read one log from, and how many bytes to take from it at most in one fetch (0: 1 MiB). At least
// one record is returned whatever its size.
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
