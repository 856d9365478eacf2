package choreography

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// deadline is what stands before the dot in a reaction to a deadline that has passed.
const deadline = "deadline"

// Edge says that a participant may answer a cause with a fact.
type Edge struct {
	// Participant that answers.
	Participant string
	// Cause is a full event type, or deadline.name.
	Cause string
	// Fact is a full event type.
	Fact string
}

// Names returns the participants, sorted, and then the readers, sorted.
func (c *Choreography) Names() []string { return append(sorted(c.Participants), sorted(c.Readers)...) }

// Topics returns the topics that hold events, sorted.
func (c *Choreography) Topics() []string {
	var topics []string
	for _, p := range c.Participants {
		topics = append(topics, p.Topic)
	}
	slices.Sort(topics)
	return slices.Compact(topics)
}

// Types returns the full types of all events, doors' requests included, sorted.
func (c *Choreography) Types() []string {
	var types []string
	for name := range c.Participants {
		types = append(types, c.Published(name)...)
	}
	slices.Sort(types)
	return types
}

// Published returns the full types that a participant publishes, its door's included, sorted. Nil for a reader.
func (c *Choreography) Published(participant string) []string {
	var types []string
	for _, e := range c.Participants[participant].events() {
		types = append(types, c.fullType(participant, e))
	}
	slices.Sort(types)
	return types
}

// Subscriptions returns what a participant or a reader listens to: per topic the full types, sorted. Deadlines are not among them.
func (c *Choreography) Subscriptions(name string) map[string][]string {
	hears := map[string][]string{}
	for cause := range c.Participants[name].Reacts {
		if from, event, ok := c.event(cause); ok {
			topic := c.Participants[from].Topic
			hears[topic] = append(hears[topic], c.fullType(from, event))
		}
	}
	for _, topic := range c.Readers[name].Listens {
		if from, ok := c.writer(topic); ok {
			hears[topic] = c.Published(from)
		}
	}
	for _, types := range hears {
		slices.Sort(types)
	}
	return hears
}

// Answers returns the full types of the facts one of which a participant may answer a cause with, in the file's order. The cause is
// a full type, or deadline.name. Nil when it does not listen to it.
func (c *Choreography) Answers(participant, cause string) []string {
	var types []string
	for ref, facts := range c.Participants[participant].Reacts {
		if c.fullCause(ref) != cause {
			continue
		}
		for _, fact := range facts {
			types = append(types, c.fullType(participant, fact))
		}
	}
	return types
}

// Deadlines returns the names of a participant's deadlines, as Answers takes them (deadline.name), sorted.
func (c *Choreography) Deadlines(participant string) []string {
	var names []string
	for _, s := range c.Participants[participant].States {
		if s.Deadline != "" {
			names = append(names, deadline+"."+s.Deadline)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// FinalStates returns the names of the states in which a participant waits for nothing, sorted.
func (c *Choreography) FinalStates(participant string) []string {
	var names []string
	for name, s := range c.Participants[participant].States {
		if s.Final {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Next returns, per state of a participant, the states that may follow it, as they stand in the file.
func (c *Choreography) Next(participant string) map[string][]string {
	next := map[string][]string{}
	for name, s := range c.Participants[participant].States {
		next[name] = slices.Clone(s.Next)
	}
	return next
}

// Evolve returns the state that each of a participant's facts leads to, by full type.
func (c *Choreography) Evolve(participant string) map[string]string {
	states := map[string]string{}
	for fact, state := range c.Participants[participant].Evolve {
		states[c.fullType(participant, fact)] = state
	}
	return states
}

// Edges returns every cause with every fact that may answer it, causes sorted, facts in the file's order.
func (c *Choreography) Edges() []Edge {
	var edges []Edge
	for name, p := range c.Participants {
		for cause, facts := range p.Reacts {
			for _, fact := range facts {
				edges = append(edges, Edge{Participant: name, Cause: c.fullCause(cause), Fact: c.fullType(name, fact)})
			}
		}
	}
	slices.SortStableFunc(edges, func(a, b Edge) int {
		return cmp.Or(cmp.Compare(a.Cause, b.Cause), cmp.Compare(a.Participant, b.Participant))
	})
	return edges
}

// events are a participant's own events by their short names: its facts, then its door's requests.
func (p Participant) events() []string {
	events := slices.Clone(p.Facts)
	for _, name := range sorted(p.Doors) {
		if !slices.Contains(events, name) {
			events = append(events, name)
		}
	}
	return events
}

// writer is the participant that writes a topic.
func (c *Choreography) writer(topic string) (string, bool) {
	for name, p := range c.Participants {
		if p.Topic == topic {
			return name, true
		}
	}
	return "", false
}

// event splits participant.Event; ok is false for a deadline and for what no participant publishes.
func (c *Choreography) event(ref string) (participant, event string, ok bool) {
	participant, event, _ = strings.Cut(ref, ".")
	p := c.Participants[participant]
	_, door := p.Doors[event]
	return participant, event, door || slices.Contains(p.Facts, event)
}

func (c *Choreography) fullType(participant, event string) string {
	topic := c.Participants[participant].Topic
	version := topic[strings.LastIndexByte(topic, '.')+1:]
	return c.Package + "." + participant + "." + version + "." + event
}

func (c *Choreography) fullCause(ref string) string {
	if from, event, ok := c.event(ref); ok {
		return c.fullType(from, event)
	}
	return ref
}

func sortedSet(names []string) []string { return slices.Compact(slices.Sorted(slices.Values(names))) }

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
