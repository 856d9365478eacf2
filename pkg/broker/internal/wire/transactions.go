package wire

import "github.com/twmb/franz-go/pkg/kmsg"

// Transactions are the aborted ones of a Fetch response for one partition. Troupe writes in none; whoever else does
// must not have what was aborted read as an event.
type Transactions struct {
	begin map[int64][]int64 // first offsets by producer
	open  map[int64]bool    // producers within an aborted transaction, until their next marker
}

// Aborted takes the list of a response, which brokers sort by first offset.
func Aborted(list []kmsg.FetchResponseTopicPartitionAbortedTransaction) Transactions {
	if len(list) == 0 {
		return Transactions{}
	}
	t := Transactions{begin: map[int64][]int64{}, open: map[int64]bool{}}
	for _, a := range list {
		t.begin[a.ProducerID] = append(t.begin[a.ProducerID], a.FirstOffset)
	}
	return t
}

// Keeps says whether a batch has records to read: not the markers of transactions, and nothing that was aborted. It
// must be asked about each batch of the partition, in order.
func (t Transactions) Keeps(b *Batch) bool {
	switch {
	case b.Attributes&controlBit != 0:
		delete(t.open, b.ProducerID)
		return false
	case b.Attributes&transactionalBit == 0:
		return true
	}
	if begin := t.begin[b.ProducerID]; len(begin) > 0 && b.FirstOffset >= begin[0] {
		t.begin[b.ProducerID], t.open[b.ProducerID] = begin[1:], true
	}
	return !t.open[b.ProducerID]
}
