package query

import (
	"slices"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/services/query/internal/readmodel"
)

// note folds what is said of dead letters into the chain that it is about.
func note(r broker.Record) (id string, fold func(Document) Document, err error) {
	topic := slices.Index(readmodel.Notes, r.Topic)
	chain := readmodel.Chain{Participant: readmodel.Participants[topic/2], Partition: r.Partition}
	var change func(readmodel.Chain) readmodel.Chain
	if asked := topic%2 == 1; asked {
		req, err := deadletter.ParseRequest(r)
		if err != nil {
			return "", nil, err
		}
		chain.Order = readmodel.NameOf(req.Order)
		change = func(c readmodel.Chain) readmodel.Chain { return c.WithRequest(req, r.Offset) }
	} else {
		rec, err := deadletter.Parse(r)
		if err != nil {
			return "", nil, err
		}
		chain.Order = readmodel.NameOf(rec.Order)
		came, _ := event.FromRecord(deadletter.Original(r)) // what cannot be read has no type, or what there is of it
		change = func(c readmodel.Chain) readmodel.Chain { return c.WithRecord(rec, came.Type, r) }
	}
	return chain.ID(), func(d Document) Document {
		c := chain
		if d.Chain != nil {
			c = *d.Chain
		}
		c = change(c)
		d.Chain = &c
		return d
	}, nil
}
