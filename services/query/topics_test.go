package query

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/participant"
	"github.com/troupe-dev/troupe/schemas/choreography"
	"github.com/troupe-dev/troupe/services/query/internal/readmodel"
)

// What the choreography says of topics, from which those of a cluster are generated, is what the engine makes and this
// service reads.
func TestTheChoreographyKnowsEveryTopic(t *testing.T) {
	c, err := choreography.Load()
	if err != nil {
		t.Fatal(err)
	}
	const kept = 30 * 24 * time.Hour
	for name := range c.Participants {
		var says []broker.Topic
		for _, own := range c.OwnTopics(name, kept) {
			says = append(says, broker.Topic(own))
		}
		engine := participant.New(participant.Behavior[struct{}]{Name: name},
			participant.Config{Partitions: c.Partitions, Retention: kept})
		if diff := cmp.Diff(says, engine.Topics()); diff != "" {
			t.Errorf("%s (-choreography +engine):\n%s", name, diff)
		}
	}
	if diff := cmp.Diff(c.Topics(), slices.Sorted(slices.Values(readmodel.Topics))); diff != "" {
		t.Errorf("topics of facts (-choreography +read model):\n%s", diff)
	}
}
