package brokertest

import (
	"context"
	"slices"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// Asked is a log without records that says which topics a fetch asks for. It can do nothing else.
type Asked struct {
	broker.Log
	Topics chan []string // of each fetch, without those that follow themselves
	Denied string        // a topic that cannot be read
	Behind bool          // there is more than what a fetch brings
}

// Fetch implements broker.Log.
func (a *Asked) Fetch(_ context.Context, from []broker.Position) ([]broker.Fetched, error) {
	var topics []string
	var got []broker.Fetched
	for _, p := range from {
		topics = append(topics, p.Topic)
		f := broker.Fetched{TopicPartition: p.TopicPartition, Next: p.Offset, End: p.Offset}
		if p.Topic == a.Denied {
			f.Err = fault.New(fault.Unavailable, "%s has no leader", p.Topic)
		}
		if a.Behind {
			f.End++
		}
		got = append(got, f)
	}
	a.Topics <- slices.Compact(topics)
	return got, nil
}
