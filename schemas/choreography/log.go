package choreography

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Recorded is one record of a log, its envelope only.
type Recorded struct {
	Topic     string
	Partition int
	Offset    int64
	// OrderID is the record's key and the event's subject.
	OrderID string
	// Type is the full event type.
	Type        string
	Source      string
	ID          string
	PreviousID  string
	CausationID string
	// Sequence is 0 for what is not a fact.
	Sequence uint64
}

// Violations holds recorded logs against the choreography and returns what should not be there, sorted; nil when all is well. It
// wants each topic's whole log, from its first record on; the order of the records does not matter, records of topics that are
// not in the choreography are left out. Copies of an event and void facts are allowed: every reader drops them.
func (c *Choreography) Violations(records []Recorded) []string {
	var found []string
	for _, s := range c.read(records) {
		found = append(found, s.violations...)
	}
	slices.Sort(found)
	return found
}

// Void returns the facts that no reader takes because another one was in the log before them, sorted. They do no harm; a log without
// faults has none.
func (c *Choreography) Void(records []Recorded) []string {
	var found []string
	for _, s := range c.read(records) {
		found = append(found, s.void...)
	}
	slices.Sort(found)
	return found
}

// Unsettled returns for every order in the logs what it still waits for, sorted; nil when all orders are settled: all states final,
// all that must be answered answered, all that must be undone undone.
func (c *Choreography) Unsettled(records []Recorded) []string {
	var found []string
	for _, s := range c.read(records) {
		found = append(found, s.unsettled()...)
	}
	slices.Sort(found)
	return found
}

// story is what the logs hold about one order.
type story struct {
	c          *Choreography
	order      string
	partition  int
	violations []string
	void       []string
	// accepted are the valid facts and the requests, first copies only, by id. In their topic's order.
	accepted []Recorded
	byID     map[string]Recorded
	heads    map[string]Recorded // by topic
}

// read sorts the logs, splits them into stories and takes in each story's events as any reader would.
func (c *Choreography) read(records []Recorded) []*story {
	records = slices.Clone(records)
	slices.SortFunc(records, func(a, b Recorded) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	byOrder := map[string]*story{}
	for _, r := range records {
		if _, ok := c.writer(r.Topic); !ok {
			continue
		}
		s := byOrder[r.OrderID]
		if s == nil {
			s = &story{c: c, order: r.OrderID, partition: r.Partition, byID: map[string]Recorded{}, heads: map[string]Recorded{}}
			byOrder[r.OrderID] = s
		}
		s.take(r)
	}
	stories := make([]*story, 0, len(byOrder))
	for _, id := range sorted(byOrder) {
		byOrder[id].judge()
		stories = append(stories, byOrder[id])
	}
	return stories
}

func (s *story) violation(r Recorded, format string, args ...any) {
	s.violations = append(s.violations, s.about(r, format, args...))
}

func (s *story) about(r Recorded, format string, args ...any) string {
	where := fmt.Sprintf("order %s: %s %s at %s/%d@%d ", s.order, shortName(r.Type), r.ID, r.Topic, r.Partition, r.Offset)
	return where + fmt.Sprintf(format, args...)
}

// take checks the envelope of a record and accepts it if the chain does: the first in the log wins.
func (s *story) take(r Recorded) {
	writer, _ := s.c.writer(r.Topic)
	fact := s.c.isFact(writer, r.Type)
	switch {
	case r.OrderID == "" || r.ID == "":
		s.violation(r, "has no key or no id")
		return
	case !slices.Contains(s.c.Published(writer), r.Type):
		s.violation(r, "is of type %q, which %s does not publish", r.Type, writer)
		return
	case r.Source != writer:
		s.violation(r, "comes from %q, only %s writes there", r.Source, writer)
		return
	case r.Partition != s.partition:
		s.violation(r, "is not in partition %d as the order's other events", s.partition)
		return
	case !fact && r.Sequence != 0:
		s.violation(r, "is a request and has a sequence")
		return
	case fact && r.Sequence == 0:
		s.violation(r, "is a fact and has no sequence")
		return
	}
	if fact {
		s.chain(r)
	} else if _, copied := s.byID[r.ID]; !copied {
		s.accept(r)
	}
}

// chain accepts a fact that is the next of its order and names the one before it.
func (s *story) chain(r Recorded) {
	head, begun := s.heads[r.Topic]
	switch {
	case !begun && r.Sequence == 1 && r.PreviousID == "", begun && r.Sequence == head.Sequence+1 && r.PreviousID == head.ID:
		s.heads[r.Topic] = r
		s.accept(r)
	case !begun:
		s.violation(r, "is the topic's first fact of the order, but has sequence %d after %q", r.Sequence, r.PreviousID)
	case r.Sequence <= head.Sequence && s.copies(r):
	default:
		s.void = append(s.void, s.about(r, "has sequence %d after %q, but %s has %d", r.Sequence, r.PreviousID, head.ID, head.Sequence))
	}
}

// copies says whether a fact is an accepted one again.
func (s *story) copies(r Recorded) bool {
	first, known := s.byID[r.ID]
	return known && first.Topic == r.Topic && first.Type == r.Type && first.Sequence == r.Sequence && first.PreviousID == r.PreviousID
}

func (s *story) accept(r Recorded) {
	if other, known := s.byID[r.ID]; known {
		s.violation(r, "has the id of %s at %s/%d@%d", shortName(other.Type), other.Topic, other.Partition, other.Offset)
		return
	}
	s.byID[r.ID] = r
	s.accepted = append(s.accepted, r)
}

// judge looks at each accepted fact's cause, and at the states that the facts lead through.
func (s *story) judge() {
	states := map[string]string{}
	answered := map[[2]string]Recorded{} // by participant and cause
	for _, r := range s.accepted {
		name := r.Source
		if r.Sequence == 0 {
			continue
		}
		p := s.c.Participants[name]
		s.judgeStep(r, p, states[name])
		s.judgeCause(r, p, states[name])
		states[name] = p.Evolve[shortName(r.Type)]
		if r.CausationID == "" {
			continue
		}
		key := [2]string{name, r.CausationID}
		if first, twice := answered[key]; twice {
			s.violation(r, "answers %s, which %s has answered already", r.CausationID, shortName(first.Type))
		}
		answered[key] = r
	}
}

func (s *story) judgeStep(r Recorded, p Participant, state string) {
	next := p.Evolve[shortName(r.Type)]
	switch {
	case state == "" && !p.States[next].First:
		s.violation(r, "leads to %s, where no order begins", next)
	case state != "" && !slices.Contains(p.States[state].Next, next):
		s.violation(r, "leads from %s to %s", state, next)
	}
}

func (s *story) judgeCause(r Recorded, p Participant, state string) {
	_, door := p.Doors[shortName(r.Type)]
	cause, known := s.byID[r.CausationID]
	switch {
	case door && r.CausationID != "":
		s.violation(r, "comes in at a door and has a cause")
	case door:
	case r.CausationID == "":
		s.violation(r, "has no cause")
	case known && !slices.Contains(s.c.Answers(r.Source, cause.Type), r.Type):
		s.violation(r, "answers %s", shortName(cause.Type))
	case !known && !s.answersDeadline(r, p, state):
		// A deadline is a local event: no log holds it.
		s.violation(r, "answers %s, which is not in the log and can be no deadline", r.CausationID)
	}
}

func (s *story) answersDeadline(r Recorded, p Participant, state string) bool {
	name := p.States[state].Deadline
	return name != "" && slices.Contains(s.c.Answers(r.Source, deadline+"."+name), r.Type)
}

func (s *story) unsettled() (texts []string) {
	wait := func(format string, args ...any) {
		texts = append(texts, "order "+s.order+": "+fmt.Sprintf(format, args...))
	}
	for _, name := range sorted(s.c.Participants) {
		p := s.c.Participants[name]
		state := p.Evolve[shortName(s.heads[p.Topic].Type)]
		if state != "" && !p.States[state].Final {
			wait("%s is %s", name, state)
		}
		for _, ref := range p.MustAnswer {
			for _, cause := range s.ofType(s.c.fullCause(ref)) {
				if !s.answered(name, cause.ID) {
					wait("%s has not answered %s %s", name, shortName(cause.Type), cause.ID)
				}
			}
		}
		for _, effect := range sorted(p.Compensations) {
			by := p.Compensations[effect]
			done := len(s.ofType(s.c.fullType(name, effect))) > 0
			asked := len(s.ofType(s.c.fullCause(by.On))) > 0
			if done && asked && len(s.ofType(s.c.fullType(name, by.By))) == 0 {
				wait("%s has not undone %s", name, effect)
			}
		}
	}
	return texts
}

func (s *story) ofType(full string) (events []Recorded) {
	for _, r := range s.accepted {
		if r.Type == full {
			events = append(events, r)
		}
	}
	return events
}

func (s *story) answered(participant, cause string) bool {
	return slices.ContainsFunc(s.accepted, func(r Recorded) bool { return r.Source == participant && r.CausationID == cause })
}

func (c *Choreography) isFact(participant, full string) bool {
	return slices.Contains(c.Participants[participant].Facts, shortName(full))
}

// shortName is the event's name without package, participant and version.
func shortName(full string) string { return full[strings.LastIndexByte(full, '.')+1:] }
