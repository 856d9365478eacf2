package deadletter

import (
	"strings"

	"github.com/troupe-dev/troupe/pkg/broker"
)

// Parse reads a record of the dead-letter topic. The error is of class Permanent and names the header at fault.
func Parse(r broker.Record) (Record, error) {
	p := reading{r: r}
	rec := Record{
		Kind: Kind(p.must(headerRecord)), Order: OrderOf(r), Group: p.text(headerGroup), Class: p.text(headerClass),
		Message: p.text(headerMessage), Exception: p.text(headerException), Behind: p.text(headerBehind),
		FirstFailure: p.time(headerFirst), LastFailure: p.time(headerLast), Deliveries: p.number(headerDeliveries),
		Redrives: p.number(headerRedrives), Redriven: p.number(headerRedriven), Waiting: p.number(headerWaiting),
		RetryAt: p.time(headerRetry),
	}
	rec.ID = p.text(headerID)
	if rec.ID == "" && rec.Kind != Closed {
		p.fail(headerID, "must not be empty")
	}
	switch rec.Kind {
	case Letter:
		rec.Topic, rec.Partition, rec.Offset = p.must(headerTopic), p.number(headerPartition), p.long(headerOffset)
		rec.Reference = p.text(headerReference)
	case Redriven, Edited, Discarded, Failed, Closed:
		rec.RequestID, rec.By, rec.Reason = p.text(headerCausation), p.text(headerBy), p.text(headerReason)
		rec.Automatic = p.text(headerAutomatic) != ""
	default:
		p.fail(headerRecord, "must be letter, redriven, edited, discarded, failed or closed")
	}
	return rec, p.err
}

// Original is a letter's record as it came; what a letter by reference does not hold is not in it.
func Original(letter broker.Record) broker.Record {
	o := letter
	o.Headers = letter.Headers.Without(func(key string) bool { return strings.HasPrefix(key, prefix) })
	if topic, ok := header(letter, headerTopic); ok {
		o.Topic = topic
	}
	p := reading{r: letter}
	o.Partition, o.Offset = p.number(headerPartition), p.long(headerOffset)
	return o
}
