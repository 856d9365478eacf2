package letters

import (
	"fmt"
	"slices"
	"strings"

	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/projection"
	"github.com/troupe-dev/troupe/pkg/view"
)

// Keys of what waits, per partition.
const (
	keyAll    = "all"            // sorted set of the chains of which nothing waits, by the millisecond of their newest record
	keyGroups = "letters:groups" // sorted set of groups, by how many letters wait in their chains
	keyGroup  = "letters:group:" // + group: sorted set of its chains, by the millisecond in which the head failed first
	keyLog    = "letters:log"    // sorted set of places of requests and outcomes, by millisecond
	keyAsked  = "letters:asked:" // + request id: the chain that it was put to
)

// kept are those of them that have fixed names: that one of them is lost is noticed at once.
var kept = []string{keyAll, keyGroups, keyLog}

// index says what to write when a chain changes.
var index = view.Index(addTo)

// Cause is how chains are grouped: by their heads. Its parts are plain text, which holds no separator.
type Cause struct {
	Participant string `json:"participant"`
	Class       string `json:"class"`
	// Type of the event; empty when it cannot be read.
	Type string `json:"type"`
}

// cause of a chain that waits.
func (c Chain) cause() Cause { return Cause{c.Participant, c.Letters[0].Class, c.Letters[0].Type} }

func (c Cause) String() string { return c.Participant + "|" + c.Class + "|" + c.Type }

func parseCause(text string) Cause {
	part := append(strings.Split(text, "|"), "", "", "")
	return Cause{part[0], part[1], part[2]}
}

// placeForm names a record of a chain: partition, place of the topic in Notes, offset. Its order is that of the text only by chance.
const placeForm = "%d.%d.%d"

func parsePlace(text string) (at projection.At, ok bool) {
	var topic int
	_, err := fmt.Sscanf(text, placeForm, &at.Partition, &topic, &at.Offset)
	if err != nil || topic < 0 || topic >= len(Notes) {
		return at, false
	}
	at.Topic = Notes[topic]
	return at, true
}

// addTo appends what a chain adds: while something waits, its place in its group; otherwise an age, by which it is
// forgotten.
func addTo(s *view.Share, c Chain) {
	if !c.known() {
		return
	}
	if c.Head() == nil {
		s.Member(named(keyAll), c.Updated.Time().UnixMilli())
	} else {
		g := c.cause().String()
		s.Member(projection.Name{Text: keyGroup, Of: g}, c.Letters[0].First.Time().UnixMilli())
		s.Rank(named(keyGroups), named(g), int64(len(c.Letters)))
	}
	topic := 2 * slices.Index(Participants, c.Participant)
	for _, t := range c.Told {
		if t.Kind != deadletter.Letter && !t.Automatic { // the trail is of what people did
			s.Named(named(keyLog), named(fmt.Sprintf(placeForm, c.Partition, topic, t.At)), t.Moment.Time().UnixMilli())
		}
	}
	for _, a := range c.Asked {
		s.Named(named(keyLog), named(fmt.Sprintf(placeForm, c.Partition, topic+1, a.At)), a.Moment.Time().UnixMilli())
		s.Member(projection.Name{Text: keyAsked, Of: a.ID}, a.Moment.Time().UnixMilli())
	}
}

func named(text string) projection.Name { return projection.Name{Text: text} }
