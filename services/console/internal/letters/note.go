package letters

import (
	"slices"
	"strings"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/projection"
)

// Name of the service, of its consumer group, and the prefix of its keys.
const Name = "console"

// FoldVersion must be raised whenever Note, the indexes or the chain change meaning.
const FoldVersion = 1

// Participants that park letters, in the order that places in the log refer to them by. A change needs a new fold version.
var Participants = []string{"order", "payment", "notification"}

// Notes are the topics of dead letters and of requests about them: for each participant the one, then the other.
var Notes = notes()

func notes() (topics []string) {
	for _, p := range Participants {
		topics = append(topics, deadletter.Topic(p), deadletter.RedriveTopic(p))
	}
	return topics
}

// Behavior is what the projection does: the one place that says how records become chains.
func Behavior() projection.Behavior[Chain] {
	return projection.Behavior[Chain]{
		Name: Name, FoldVersion: FoldVersion, Continues: FoldVersion, Notes: Notes, Note: Note,
		Index: index, Ages: keyAll, Kept: kept,
	}
}

// Note folds what is said of dead letters into the chain that it is about.
func Note(r broker.Record) (id string, fold func(Chain) Chain, err error) {
	topic := slices.Index(Notes, r.Topic)
	chain := Chain{Participant: Participants[topic/2], Partition: r.Partition}
	var change func(Chain) Chain
	if asked := topic%2 == 1; asked {
		req, err := deadletter.ParseRequest(r)
		if err != nil {
			return "", nil, err
		}
		chain.Order = deadletter.NameOf(req.Order)
		change = func(c Chain) Chain { return c.withRequest(req, r.Offset) }
	} else {
		rec, err := deadletter.Parse(r)
		if err != nil {
			return "", nil, err
		}
		chain.Order = deadletter.NameOf(rec.Order)
		came, _ := event.FromRecord(deadletter.Original(r)) // what cannot be read has no type, or what there is of it
		typ := strings.Clone(came.Type)                     // the record need not be kept
		change = func(c Chain) Chain { return c.withRecord(rec, typ, r) }
	}
	return chain.ID(), func(c Chain) Chain {
		if !c.known() {
			c = chain
		}
		return change(c)
	}, nil
}
