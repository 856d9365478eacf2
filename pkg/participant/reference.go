package participant

import (
	"context"
	"errors"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// errUnread marks a letter's event that could not be read again from its topic, for now.
var errUnread = errors.New("the topic of a letter's event cannot be read")

// original is the event of a letter, read again from its topic where the letter does not hold it. bad says why there is none; err, of
// class Unavailable, that it is not known.
func (c *cycle) original(ctx context.Context, letter broker.Record) (came broker.Record, bad, err error) {
	came = deadletter.Original(letter)
	rec, err := deadletter.Parse(letter)
	if err != nil || rec.Reference == "" {
		return came, nil, nil // what a letter says of itself beside its event does not matter here
	}
	tp := broker.TopicPartition{Topic: rec.Topic, Partition: rec.Partition}
	got, err := c.cfg.Log.Fetch(ctx, []broker.Position{{TopicPartition: tp, Offset: rec.Offset, MaxBytes: 1}})
	if err == nil && !errors.Is(got[0].Err, broker.ErrOutOfRange) {
		err = got[0].Err
	}
	switch {
	case err != nil:
		return came, nil, fault.New(fault.Unavailable, "%w: %w", errUnread, err)
	case len(got[0].Records) == 0:
		return came, rec.Gone(), nil
	}
	return got[0].Records[0], rec.Refers(got[0].Records[0]), nil
}
