// Package console is the operators' side: it folds dead letters and what operators ask about them into a read model in
// Redis, shows both and the whole system to people, and lets them redrive, edit and discard.
package console

import (
	"slices"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/projection"
	"github.com/troupe-dev/troupe/services/console/internal/letters"
)

// Name of the service, of its consumer group, and the prefix of its keys.
const Name = "console"

// FoldVersion must be raised whenever note, the indexes or the chain change meaning.
const FoldVersion = 1

// Behavior is what the projection does: the one place that says how records become chains.
func Behavior() projection.Behavior[letters.Chain] {
	return projection.Behavior[letters.Chain]{
		Name: Name, FoldVersion: FoldVersion, Continues: FoldVersion, Notes: letters.Notes, Note: note,
		Index: letters.Index, Ages: letters.KeyAll, Kept: letters.Kept,
	}
}

// note folds what is said of dead letters into the chain that it is about.
func note(r broker.Record) (id string, fold func(letters.Chain) letters.Chain, err error) {
	topic := slices.Index(letters.Notes, r.Topic)
	chain := letters.Chain{Participant: letters.Participants[topic/2], Partition: r.Partition}
	var change func(letters.Chain) letters.Chain
	if asked := topic%2 == 1; asked {
		req, err := deadletter.ParseRequest(r)
		if err != nil {
			return "", nil, err
		}
		chain.Order = deadletter.NameOf(req.Order)
		change = func(c letters.Chain) letters.Chain { return c.WithRequest(req, r.Offset) }
	} else {
		rec, err := deadletter.Parse(r)
		if err != nil {
			return "", nil, err
		}
		chain.Order = deadletter.NameOf(rec.Order)
		came, _ := event.FromRecord(deadletter.Original(r)) // what cannot be read has no type, or what there is of it
		change = func(c letters.Chain) letters.Chain { return c.WithRecord(rec, came.Type, r) }
	}
	return chain.ID(), func(c letters.Chain) letters.Chain {
		if c.Participant == "" {
			c = chain
		}
		return change(c)
	}, nil
}
