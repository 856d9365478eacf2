package broker

import "encoding/binary"

// slabBytes and slabHeaders are what records share one allocation for: few allocations, and a record that is kept long (held, parked)
// keeps little else with it. What is larger than 32 KiB Go would allocate under a lock.
const (
	slabBytes   = 16 << 10
	slabHeaders = slabBytes / 40
)

// slabs hold what the records of one log in an answer are made of. What was taken out of a slab is never written again.
type slabs struct {
	names   *headerNames
	bytes   []byte   // the copies so far; those to come go behind them, where there is room
	headers []Header // not taken yet
	left    int      // bytes of the answer after this batch
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

// take takes room for the headers of a record, after which others come, most likely with as many.
func (s *slabs) take(n, more int) []Header {
	if n > len(s.headers) {
		s.headers = make([]Header, n*max(1, min(1+more, slabHeaders/n)))
	}
	taken := s.headers[:n:n]
	s.headers = s.headers[n:]
	return taken
}

// headerNames are the names of headers met in answers: a few, thousands of times.
type headerNames struct {
	known  map[string]string
	before []Header // of the record before, which mostly has the same names in the same places
}

func (h *headerNames) of(place int, name []byte) string {
	if place < len(h.before) && h.before[place].Key == string(name) { // without an allocation
		return h.before[place].Key
	}
	if s, ok := h.known[string(name)]; ok { // without one either
		return s
	}
	if h.known == nil {
		h.known = map[string]string{}
	}
	s := string(name)
	h.known[s] = s
	return s
}

// maxNames is how many are remembered: who writes names that never come again must not fill memory.
const maxNames = 200

// rest keeps the names, and no record, until the next answer.
func (h *headerNames) rest() {
	h.before = nil
	if len(h.known) > maxNames {
		h.known = nil
	}
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
	for len(batches) > batchHead {
		size := batchSizeEnd + int(binary.BigEndian.Uint32(batches[batchSizeAt:]))
		if size > len(batches) {
			break
		}
		n += min(int(binary.BigEndian.Uint32(batches[batchCountAt:])), size/minRecordBytes)
		batches = batches[size:]
	}
	return n
}
