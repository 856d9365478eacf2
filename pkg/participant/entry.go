package participant

import (
	"encoding/binary"
	"errors"
	"strings"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
)

// entry is a fact or a letter decided and not yet known to be in Kafka.
type entry struct {
	Order  string
	ID     string
	Seq    uint64 // 0: not in the chain
	Prev   string // previousid
	Record broker.Record

	number int64
	body   string      // as kept in the store
	ended  func(error) // of the producer span; nil for what another instance decided
	acked  bool
	offset int64 // once acked
}

// contradicts says whether a fact of the same order and sequence is another decision about the same place. One that names another
// fact before it is void: nobody heeds it.
func (e *entry) contradicts(f event.Event) bool { return e.ID != f.ID && e.Prev == f.PreviousID }

// encode writes an entry as it is kept in the store: each part behind its length, as plain as can be, since it is written once for
// every fact and read only after a crash.
func (e *entry) encode() string {
	r := e.Record
	var w writer
	w.Grow(recordBytes(r) + len(e.ID) + len(e.Prev) + len(r.Topic) + 64)
	w.text(e.ID)
	w.number(e.Seq)
	w.text(e.Prev)
	w.text(r.Topic)
	w.number(uint64(r.Partition))
	w.bytes(r.Key)
	w.bytes(r.Value)
	w.number(uint64(len(r.Headers)))
	for _, h := range r.Headers {
		w.text(h.Key)
		w.bytes(h.Value)
	}
	return w.String()
}

type writer struct{ strings.Builder }

func (w *writer) number(n uint64) {
	var b [binary.MaxVarintLen64]byte
	w.Write(binary.AppendUvarint(b[:0], n))
}

// text is one part, of which there may be several.
func (w *writer) text(parts ...string) {
	n := 0
	for _, s := range parts {
		n += len(s)
	}
	w.number(uint64(n) + 1)
	for _, s := range parts {
		w.WriteString(s)
	}
}

// bytes are as text; 0 is nil, which in a record is not the same as empty.
func (w *writer) bytes(b []byte) {
	if b == nil {
		w.number(0)
		return
	}
	w.number(uint64(len(b)) + 1)
	w.Write(b)
}

// decodeEntry reads what encode wrote.
func decodeEntry(body string) (*entry, error) {
	p := parts{rest: body}
	e := &entry{body: body, ID: p.text(), Seq: p.number(), Prev: p.text()}
	e.Record = broker.Record{Topic: p.text(), Partition: int(p.number()), Key: p.bytes(), Value: p.bytes()}
	for n := p.number(); n > 0 && !p.bad; n-- {
		e.Record.Headers = append(e.Record.Headers, broker.Header{Key: p.text(), Value: p.bytes()})
	}
	if p.bad || len(p.rest) > 0 {
		return nil, errors.New("it is cut off, or of another layout")
	}
	e.Order = deadletter.OrderOf(e.Record)
	return e, nil
}

// parts reads what is left of what a writer wrote. bad: it is none.
type parts struct {
	rest string
	bad  bool
}

func (p *parts) number() uint64 {
	n, size := binary.Uvarint([]byte(p.rest[:min(len(p.rest), binary.MaxVarintLen64)]))
	if size <= 0 {
		p.bad, p.rest = true, ""
		return 0
	}
	p.rest = p.rest[size:]
	return n
}

func (p *parts) part() (part string, null bool) {
	n := p.number()
	if n == 0 {
		return "", true
	}
	if n--; n > uint64(len(p.rest)) {
		p.bad, p.rest = true, ""
		return "", true
	}
	part, p.rest = p.rest[:n], p.rest[n:]
	return part, false
}

func (p *parts) text() string {
	text, _ := p.part()
	return text
}

func (p *parts) bytes() []byte {
	part, null := p.part()
	if null {
		return nil
	}
	return []byte(part)
}
