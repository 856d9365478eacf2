package broker

import "encoding/binary"

// slabBytes is what records share one allocation for: few allocations, and a record that is kept long (held, parked) keeps little else
// with it. What is larger than 32 KiB Go would allocate under a lock.
const slabBytes = 16 << 10

// slabs hold the records of one log in an answer. What was taken out of a slab is never written again.
type slabs struct {
	bytes []byte // the copies so far; those to come go behind them, where there is room
	left  int    // bytes of the answer after this batch
}

// copy takes room for a record; more bytes of records come after it in its batch.
func (s *slabs) copy(record []byte, more int) []byte {
	if len(record) > cap(s.bytes)-len(s.bytes) {
		s.bytes = make([]byte, 0, max(len(record), min(slabBytes, len(record)+more+s.left)))
	}
	from := len(s.bytes)
	s.bytes = append(s.bytes, record...)
	return s.bytes[from:len(s.bytes):len(s.bytes)]
}

// Where in a batch its length and the number of its records are, and the least that there is of a record.
const (
	batchHead      = 61
	batchSizeAt    = 8
	batchSizeEnd   = 12
	batchCountAt   = 57
	minRecordBytes = 7
)

// announced is how many records the batches of an answer say that they hold, as far as they can be believed before they were checked.
func announced(batches []byte) (n int) {
	const most = maxBatchMemory / recordMemory
	for len(batches) > batchHead {
		size := batchSizeEnd + int(binary.BigEndian.Uint32(batches[batchSizeAt:]))
		if size > len(batches) {
			break
		}
		n += min(int(binary.BigEndian.Uint32(batches[batchCountAt:])), size/minRecordBytes, most)
		batches = batches[size:]
	}
	return min(n, most)
}
