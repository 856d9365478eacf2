// Package outbox holds, in order, what a task has decided and Kafka does not have for certain yet: in memory first,
// then in the store, then in Kafka, then gone. An entry is published only when it is stored, and leaves only when
// every earlier entry of its order is in Kafka.
package outbox

// Bounds of one append, under the broker's default limit of a batch (1 MiB).
const (
	BatchBytes   = 950 << 10
	BatchRecords = 2000
)

// Outbox of one task. Entries are numbered from 1; stored, acked and settled are the highest numbers up to which every
// entry is in the store, in Kafka, and in Kafka and trimmed from the store.
type Outbox struct {
	entries                []*Entry // after settled
	byOrder                map[string][]*Entry
	number                 int64 // of the last entry
	stored, acked, settled int64
	inherited              int64 // up to this number entries were found in the store: whose answers they are is not known
}

// Add appends an entry, to be stored.
func (o *Outbox) Add(e *Entry) {
	if o.byOrder == nil {
		o.byOrder = map[string][]*Entry{}
	}
	o.number++
	e.number = o.number
	o.entries = append(o.entries, e)
	o.byOrder[e.Order] = append(o.byOrder[e.Order], e)
}

// Restore appends what the store holds of an empty outbox.
func (o *Outbox) Restore(bodies []string) error {
	for _, body := range bodies {
		e, err := decode(body)
		if err != nil {
			return err
		}
		o.Add(e)
	}
	o.stored, o.inherited = o.number, o.number
	return nil
}

// Len is how many entries there are.
func (o *Outbox) Len() int { return len(o.entries) }

// HasUnstored says whether there are entries that the store does not have.
func (o *Outbox) HasUnstored() bool { return o.stored < o.number }

// Unstored returns the entries that the store does not have, as it keeps them, and the number of the last.
func (o *Outbox) Unstored() (bodies []string, last int64) {
	for _, e := range o.After(o.stored) {
		bodies = append(bodies, e.encode())
	}
	return bodies, o.number
}

// Stored tells that the store has the entries up to a number: they may be published.
func (o *Outbox) Stored(number int64) { o.stored = number }

// IsStored says whether the store has an entry.
func (o *Outbox) IsStored(number int64) bool { return number <= o.stored }

// After returns the entries after a number.
func (o *Outbox) After(number int64) []*Entry {
	if len(o.entries) == 0 {
		return nil
	}
	return o.entries[min(len(o.entries), max(0, int(number-o.entries[0].number+1))):]
}

// OfOrder returns the entries of an order.
func (o *Outbox) OfOrder(id string) []*Entry { return o.byOrder[id] }

// Undelivered returns the fact of an order with a sequence, nil when there is none: it is settled, or was never
// decided here.
func (o *Outbox) Undelivered(order string, seq uint64) *Entry {
	for _, e := range o.byOrder[order] {
		if e.Seq == seq {
			return e
		}
	}
	return nil
}

// Sendable returns up to most entries for a topic, and about so many bytes, that may be sent now, in order: an entry
// leaves only when every earlier entry of the same order, in whatever topic, is acknowledged (or goes before it in the
// same batch).
func (o *Outbox) Sendable(topic string, most, bytes int) []*Entry {
	var out []*Entry
	size := 0
	for _, e := range o.After(o.acked) {
		if e.number > o.stored {
			break
		}
		if e.Acked || e.Record.Topic != topic || o.waitsForOther(e) {
			continue
		}
		size += e.Record.Bytes()
		if len(out) > 0 && (size > bytes || len(out) == most) {
			break
		}
		out = append(out, e)
	}
	return out
}

// waitsForOther says that an earlier entry of the same order goes to another topic, and is not acknowledged.
func (o *Outbox) waitsForOther(e *Entry) bool {
	for _, earlier := range o.byOrder[e.Order] {
		if earlier == e {
			return false
		}
		if !earlier.Acked && earlier.Record.Topic != e.Record.Topic {
			return true
		}
	}
	return false
}

// Acknowledge tells that entries, sent together, are in Kafka from an offset on.
func (o *Outbox) Acknowledge(entries []*Entry, base int64) {
	for i, e := range entries {
		e.Acked, e.Offset = true, base+int64(i)
		if e.Ended != nil {
			e.Ended(nil)
		}
	}
	for _, e := range o.After(o.acked) {
		if !e.Acked {
			break
		}
		o.acked = e.number
	}
}

// Unacked is how many entries wait for Kafka.
func (o *Outbox) Unacked() int {
	n := 0
	for _, e := range o.After(o.acked) {
		if !e.Acked {
			n++
		}
	}
	return n
}

// Settled is the number up to which entries are gone.
func (o *Outbox) Settled() int64 { return o.settled }

// Settle drops the entries up to a number: they are in Kafka, and trimmed from the store.
func (o *Outbox) Settle(number int64) {
	for len(o.entries) > 0 && o.entries[0].number <= number {
		e := o.entries[0]
		if rest := o.byOrder[e.Order][1:]; len(rest) > 0 {
			o.byOrder[e.Order] = rest
		} else {
			delete(o.byOrder, e.Order)
		}
		o.entries[0] = nil
		o.entries = o.entries[1:]
	}
	o.settled = number
}

// Inherited says that entries found in the store are not settled yet.
func (o *Outbox) Inherited() bool { return o.settled < o.inherited }
