package letters

import (
	"slices"
	"strconv"
	"strings"

	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/projection"
	"github.com/troupe-dev/troupe/pkg/view"
)

// Keys of what waits, per partition.
const (
	// KeyAll is the sorted set of the chains of which nothing waits, by the millisecond of their newest record.
	KeyAll    = "all"
	keyGroups = "letters:groups" // sorted set of groups, by how many letters wait in their chains
	keyGroup  = "letters:group:" // + group: sorted set of its chains, by the millisecond in which the head failed first
	keyLog    = "letters:log"    // sorted set of places of requests and outcomes, by millisecond
	keyAsked  = "letters:asked:" // + request id: the chain that it was put to
)

// Kept are those of them that have fixed names: that one of them is lost is noticed at once.
var Kept = []string{KeyAll, keyGroups, keyLog}

// Index says what to write when a chain changes.
var Index = view.Index(addTo)

// group is how chains are grouped: by their heads.
type group struct{ participant, class, typ string }

func groupOf(c Chain) group { return group{c.Participant, c.Letters[0].Class, c.Letters[0].Type} }

// The parts are plain text, which holds no such separator.
func (g group) String() string { return g.participant + "|" + g.class + "|" + g.typ }

func parseGroup(text string) group {
	part := append(strings.Split(text, "|"), "", "", "")
	return group{part[0], part[1], part[2]}
}

// placeOf names a record of a chain: partition, place of the topic in Notes, offset. Its order is that of the text only by chance.
func placeOf(partition, topic int, offset int64) string {
	return strconv.Itoa(partition) + "." + strconv.Itoa(topic) + "." + strconv.FormatInt(offset, 10)
}

func parsePlace(text string) (at projection.At, ok bool) {
	part := strings.Split(text, ".")
	if len(part) != 3 {
		return at, false
	}
	partition, err1 := strconv.Atoi(part[0])
	topic, err2 := strconv.Atoi(part[1])
	offset, err3 := strconv.ParseInt(part[2], 10, 64)
	if err1 != nil || err2 != nil || err3 != nil || topic < 0 || topic >= len(Notes) {
		return at, false
	}
	at.Topic, at.Partition, at.Offset = Notes[topic], partition, offset
	return at, true
}

// addTo appends what a chain adds: while something waits, its place in its group; otherwise an age, by which it is
// forgotten.
func addTo(s *view.Share, c Chain) {
	if !c.known() {
		return
	}
	if c.Head() == nil {
		s.Member(named(KeyAll), c.Updated.Time().UnixMilli())
	} else {
		g := groupOf(c).String()
		s.Member(projection.Name{Text: keyGroup, Of: g}, c.Letters[0].First.Time().UnixMilli())
		s.Rank(named(keyGroups), named(g), int64(len(c.Letters)))
	}
	topic := 2 * slices.Index(Participants, c.Participant)
	for _, t := range c.Told {
		if t.Kind != deadletter.Letter && !t.Automatic { // the trail is of what people did
			s.Named(named(keyLog), named(placeOf(c.Partition, topic, t.At)), t.Moment.Time().UnixMilli())
		}
	}
	for _, a := range c.Asked {
		s.Named(named(keyLog), named(placeOf(c.Partition, topic+1, a.At)), a.Moment.Time().UnixMilli())
		s.Member(projection.Name{Text: keyAsked, Of: a.ID}, a.Moment.Time().UnixMilli())
	}
}

func named(text string) projection.Name { return projection.Name{Text: text} }
