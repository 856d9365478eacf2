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

// Story is what the logs hold about one order, held against the choreography.
type Story struct {
	OrderID string
	// Accepted are the valid facts and the requests, first copies only, in their topic's order. Copies of an event and
	// void facts are not among them: every reader drops them.
	Accepted []Recorded
	// Violations says what should not be there. Uncaused does too: it names the facts whose cause is not in the logs,
	// which it may be a moment later where the logs are still read.
	Violations, Uncaused []string
	// Void says which facts no reader takes because another one was in the log before them. They do no harm; a log
	// without faults has none.
	Void []string
	// Unsettled says what the order waits for; empty when all states are final, all that must be answered is answered,
	// and all that must be undone is undone.
	Unsettled []string

	c         *Choreography
	partition int
	byID      map[string]Recorded
	heads     map[string]Recorded // by topic
}

// Stories holds recorded logs against the choreography, order by order. It wants each topic's whole log, from its first
// record on; the order of the records does not matter, records of topics that are not in the choreography are left out.
func (c *Choreography) Stories(records []Recorded) []*Story {
	records = slices.Clone(records)
	slices.SortFunc(records, func(a, b Recorded) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	byOrder := map[string]*Story{}
	for _, r := range records {
		if _, ok := c.writer(r.Topic); !ok {
			continue
		}
		s := byOrder[r.OrderID]
		if s == nil {
			s = &Story{OrderID: r.OrderID, c: c, partition: r.Partition}
			s.byID, s.heads = map[string]Recorded{}, map[string]Recorded{}
			byOrder[r.OrderID] = s
		}
		s.take(r)
	}
	stories := make([]*Story, 0, len(byOrder))
	for _, id := range sorted(byOrder) {
		byOrder[id].judge()
		byOrder[id].wait()
		stories = append(stories, byOrder[id])
	}
	return stories
}

func (s *Story) violation(r Recorded, format string, args ...any) {
	s.Violations = append(s.Violations, s.about(r, format, args...))
}

func (s *Story) about(r Recorded, format string, args ...any) string {
	where := fmt.Sprintf("%s %s at %s/%d@%d ", shortName(r.Type), r.ID, r.Topic, r.Partition, r.Offset)
	return where + fmt.Sprintf(format, args...)
}

// take checks the envelope of a record and accepts it if the chain does: the first in the log wins.
func (s *Story) take(r Recorded) {
	writer, _ := s.c.writer(r.Topic)
	fact := s.c.isFact(writer, r.Type)
	switch {
	case r.OrderID == "" || r.ID == "":
		s.violation(r, "has no key or no id")
		return
	case !s.c.publishes(writer, r.Type):
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
func (s *Story) chain(r Recorded) {
	head, begun := s.heads[r.Topic]
	switch {
	case !begun && r.Sequence == 1 && r.PreviousID == "", begun && r.Sequence == head.Sequence+1 && r.PreviousID == head.ID:
		s.heads[r.Topic] = r
		s.accept(r)
	case !begun:
		s.violation(r, "is the topic's first fact of the order, but has sequence %d after %q", r.Sequence, r.PreviousID)
	case r.Sequence <= head.Sequence && s.copies(r):
	default:
		s.Void = append(s.Void, s.about(r, "has sequence %d after %q, but %s has %d", r.Sequence, r.PreviousID, head.ID, head.Sequence))
	}
}

// copies says whether a fact is an accepted one again.
func (s *Story) copies(r Recorded) bool {
	first, known := s.byID[r.ID]
	return known && first.Topic == r.Topic && first.Type == r.Type && first.Sequence == r.Sequence && first.PreviousID == r.PreviousID
}

func (s *Story) accept(r Recorded) {
	if other, known := s.byID[r.ID]; known {
		s.violation(r, "has the id of %s at %s/%d@%d", shortName(other.Type), other.Topic, other.Partition, other.Offset)
		return
	}
	s.byID[r.ID] = r
	s.Accepted = append(s.Accepted, r)
}

// judge looks at each accepted fact's cause, and at the states that the facts lead through.
func (s *Story) judge() {
	states := map[string]string{}
	answered := map[[2]string]Recorded{} // by participant and cause
	for _, r := range s.Accepted {
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

func (s *Story) judgeStep(r Recorded, p Participant, state string) {
	next := p.Evolve[shortName(r.Type)]
	switch {
	case state == "" && !p.States[next].First:
		s.violation(r, "leads to %s, where no order begins", next)
	case state != "" && !slices.Contains(p.States[state].Next, next):
		s.violation(r, "leads from %s to %s", state, next)
	}
}

func (s *Story) judgeCause(r Recorded, p Participant, state string) {
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
	case !known && !s.answersDeadline(r, p, state): // a deadline is a local event: no log holds it
		text := s.about(r, "answers %s, which is not in the log and can be no deadline", r.CausationID)
		s.Uncaused = append(s.Uncaused, text)
	}
}

func (s *Story) answersDeadline(r Recorded, p Participant, state string) bool {
	name := p.States[state].Deadline
	return name != "" && slices.Contains(s.c.Answers(r.Source, deadline+"."+name), r.Type)
}

// wait finds what the order waits for.
func (s *Story) wait() {
	wait := func(format string, args ...any) { s.Unsettled = append(s.Unsettled, fmt.Sprintf(format, args...)) }
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
}

func (s *Story) ofType(full string) (events []Recorded) {
	for _, r := range s.Accepted {
		if r.Type == full {
			events = append(events, r)
		}
	}
	return events
}

func (s *Story) answered(participant, cause string) bool {
	return slices.ContainsFunc(s.Accepted, func(r Recorded) bool { return r.Source == participant && r.CausationID == cause })
}

func (c *Choreography) publishes(participant, full string) bool {
	from, name, known := c.event(participant + "." + shortName(full))
	return known && c.fullType(from, name) == full
}

func (c *Choreography) isFact(participant, full string) bool {
	return slices.Contains(c.Participants[participant].Facts, shortName(full))
}

// shortName is the event's name without package, participant and version.
func shortName(full string) string { return full[strings.LastIndexByte(full, '.')+1:] }
