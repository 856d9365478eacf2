package projection

import (
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
)

// At is where an event lies in the log.
type At struct {
	broker.TopicPartition
	Offset int64
}

// Behavior is what a projection does. D is the document of one order, its zero value the one before the first event.
type Behavior[D any] struct {
	// Name of the projection: its consumer group, and the prefix of its keys.
	Name string
	// FoldVersion must be raised whenever Fold, Index or D changes meaning: everything is then folded again from
	// the log. Raising it, or adding topics at the end, is enough.
	FoldVersion int
	// Continues is the oldest fold version whose documents and indexes today's code can read and fold on; the
	// topics must be the same, or new ones at the end (until those are read, State says Incomplete). What such a
	// version folded goes on being read and folded while it is folded again beside; indexes and counters that it
	// did not have lack what it folded until then. 0, and anything older or newer: it is deleted first, and State
	// says Incomplete until it is folded again.
	Continues int
	// Topics it folds, with equal numbers of partitions.
	Topics []string
	// Fold returns the document after one valid event. Pure, and it must leave doc as it is. The topics have no
	// common order, so an event may change only what belongs to its own topic: then no order of arrival can corrupt
	// the document. Body is nil when the body could not be decoded.
	Fold func(doc D, m event.Message, at At) D
	// Append adds a document to what is stored, and Parse reads it from there: also what it was stored as since
	// Continues. What Parse returns may hold parts of the text. The same document is the same bytes. Nil, both:
	// JSON.
	Append func(text []byte, doc D) []byte
	Parse  func(text string) (D, error)
	// Notes are further topics, with as many partitions, whose records are no facts in a chain: dead letters,
	// requests. Nil: none.
	Notes []string
	// Note says which document a record of Notes belongs to (one of its own, see NoteID; never an order's), and how
	// it is folded into it. The error says why the record cannot be read. Pure; fold must leave the document it is
	// given as it is. A record that is in the log twice is folded twice.
	Note func(r broker.Record) (id string, fold func(doc D) D, err error)
	// Index says what else to write when a document changes: index entries and counters, in the same script as the
	// document. Pure, and what it writes must be a sum over the documents: the same whatever the steps in which
	// they changed. A document that is forgotten becomes the zero D. Nil: nothing. Keys "meta", "rebuild",
	// "changes", "undecodable", "order:…" and "~…" are taken.
	Index func(w *Writes, id string, before, after D)
	// Stored is told after each change that the store took; for metrics. A change that is folded again is told
	// again. It must not block. Nil: nobody is told.
	Stored func(before, after D)
	// Ages names the sorted set, kept by Index, that has every document with its age as score (Unix milliseconds).
	// What is older than the retention is forgotten by it. Empty: nothing is forgotten.
	Ages string
	// Kept are the keys that Index writes under fixed names: when Redis loses one of them, the partition is folded
	// again.
	Kept []string
}

// Config is what a projection needs beside its behaviour. Zero durations mean the stated default.
type Config struct {
	// Log is the broker. Required.
	Log broker.Log
	// Redis holds the read model. Required. Never evict: maxmemory-policy must be noeviction.
	Redis redis.UniversalClient
	// Partitions of every topic. Required.
	Partitions int
	// Retention of the topics: documents older than this and a day are forgotten. Default 30 days.
	Retention time.Duration
	// CommitEvery is how often offsets are committed to the group. Nothing rests on them (the positions are in
	// Redis): they are there so that any tool can see the lag. Default 1 s.
	CommitEvery time.Duration
}

func (c Config) withDefaults() Config {
	if c.Retention == 0 {
		c.Retention = 30 * 24 * time.Hour
	}
	if c.CommitEvery == 0 {
		c.CommitEvery = time.Second
	}
	return c
}

// topics are all that are read: facts first.
func (b Behavior[D]) topics() []string { return slices.Concat(b.Topics, b.Notes) }

// isNote says whether a source holds notes.
func (b Behavior[D]) isNote(source int) bool { return source >= len(b.Topics) }
