package broker

import "time"

// Record is one record of a log. Offset and Time are set by the broker and ignored when producing, except that a
// non-zero Time is kept as the record's create time.
//
// Nobody writes into Key, Value and Headers once they are set: strings are views of them (event.FromRecord). They are
// the record's own: whoever keeps a record keeps nothing else of the batch that it came in.
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

// Bytes is about how many a record takes in a batch, and in memory.
func (r Record) Bytes() int { return len(r.Key) + len(r.Value) + len(r.Headers) + 32 }
