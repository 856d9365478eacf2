package choreography

import (
	"fmt"
	"slices"
	"strings"
)

// Rule is one thing that Check looks at.
type Rule string

// The rules of Check.
const (
	// OrphanEvent: every event is reacted to by a participant or read by a reader.
	OrphanEvent Rule = "orphan event"
	// UnpublishedEvent: what is listened to is published by somebody.
	UnpublishedEvent Rule = "unpublished event"
	// UnknownTopic: a reader listens to topics that exist.
	UnknownTopic Rule = "unknown topic"
	// ForeignAnswer: an answer is a fact of the participant's own, and not one that comes in at its door.
	ForeignAnswer Rule = "foreign answer"
	// UndecidedFact: every fact is the answer to something or comes in at a door.
	UndecidedFact Rule = "undecided fact"
	// WrongDoor: a door's fact is among the facts and begins an order, a door's request is not among them.
	WrongDoor Rule = "wrong door"
	// IncompleteEvolve: each fact leads to one state, and all states that are named exist.
	IncompleteEvolve Rule = "incomplete evolve"
	// UnreachableState: every state is where an order begins, or follows one that is reachable, and a fact leads to it.
	UnreachableState Rule = "unreachable state"
	// DeadEnd: from every state there is a way to a final one.
	DeadEnd Rule = "dead end"
	// NoDeadline: a state that is not final has a deadline.
	NoDeadline Rule = "no deadline"
	// UselessDeadline: a deadline has a reaction that leads out of the state it guards; a reaction has a deadline.
	UselessDeadline Rule = "useless deadline"
	// UncompensatedEffect: an effect outside is compensated, compensates, or is declared irrevocable with a reason.
	UncompensatedEffect Rule = "uncompensated effect"
	// NoWayOut: who has an effect outside reaches something there.
	NoWayOut Rule = "no way out"
	// WrongCompensation: a compensation is the answer to its trigger, and legal after the effect.
	WrongCompensation Rule = "wrong compensation"
	// UnheardMustAnswer: what must be answered is listened to.
	UnheardMustAnswer Rule = "unheard must_answer"
	// Endless: no event can, by way of its answers, bring about its own kind again.
	Endless Rule = "endless"
)

var rules = []struct {
	rule Rule
	find func(*Choreography) []string
}{
	{OrphanEvent, orphanEvents},
	{UnpublishedEvent, unpublishedEvents},
	{UnknownTopic, unknownTopics},
	{ForeignAnswer, each(foreignAnswers)},
	{UndecidedFact, each(undecidedFacts)},
	{WrongDoor, each(wrongDoors)},
	{IncompleteEvolve, each(incompleteEvolve)},
	{UnreachableState, each(unreachableStates)},
	{DeadEnd, each(deadEnds)},
	{NoDeadline, each(noDeadlines)},
	{UselessDeadline, each(uselessDeadlines)},
	{UncompensatedEffect, each(uncompensatedEffects)},
	{NoWayOut, each(noWayOut)},
	{WrongCompensation, each(wrongCompensations)},
	{UnheardMustAnswer, each(unheardMustAnswers)},
	{Endless, endless},
}

// Finding is a rule that the choreography breaks, and where.
type Finding struct {
	Rule Rule
	Text string
}

func (f Finding) Error() string { return string(f.Rule) + ": " + f.Text }

// Check returns a Finding for everything that keeps the choreography from working, in a fixed order; nil when there is nothing.
func (c *Choreography) Check() []error {
	var errs []error
	for _, r := range rules {
		for _, text := range r.find(c) {
			errs = append(errs, Finding{Rule: r.rule, Text: text})
		}
	}
	return errs
}

// each asks about every participant; what is found is prefixed with its name.
func each(find func(Participant) []string) func(*Choreography) []string {
	return func(c *Choreography) []string {
		var texts []string
		for _, name := range sorted(c.Participants) {
			for _, text := range find(c.Participants[name]) {
				texts = append(texts, name+": "+text)
			}
		}
		return texts
	}
}

func orphanEvents(c *Choreography) (texts []string) {
	heard := map[string]bool{}
	for _, names := range [][]string{sorted(c.Participants), sorted(c.Readers)} {
		for _, name := range names {
			for _, types := range c.Subscriptions(name) {
				for _, t := range types {
					heard[t] = true
				}
			}
		}
	}
	for _, t := range c.Types() {
		if !heard[t] {
			texts = append(texts, "nobody listens to "+t)
		}
	}
	return texts
}

func unpublishedEvents(c *Choreography) (texts []string) {
	for _, name := range sorted(c.Participants) {
		for _, cause := range sorted(c.Participants[name].Reacts) {
			if from, _, ok := c.event(cause); !ok && from != deadline {
				texts = append(texts, fmt.Sprintf("%s reacts to %s, which nobody publishes", name, cause))
			}
		}
	}
	return texts
}

func unknownTopics(c *Choreography) (texts []string) {
	for _, name := range sorted(c.Readers) {
		for _, topic := range c.Readers[name].Listens {
			if _, ok := c.writer(topic); !ok {
				texts = append(texts, fmt.Sprintf("%s listens to %s, which nobody writes", name, topic))
			}
		}
	}
	return texts
}

func foreignAnswers(p Participant) (texts []string) {
	for _, cause := range sorted(p.Reacts) {
		if len(p.Reacts[cause]) == 0 {
			texts = append(texts, cause+" has no answer")
		}
		for _, fact := range p.Reacts[cause] {
			if _, door := p.Doors[fact]; door || !slices.Contains(p.Facts, fact) {
				texts = append(texts, fmt.Sprintf("%s is answered with %s, which it does not decide", cause, fact))
			}
		}
	}
	return texts
}

func undecidedFacts(p Participant) (texts []string) {
	for _, fact := range p.Facts {
		if _, door := p.Doors[fact]; !door && !p.decides(fact) {
			texts = append(texts, fact+" is the answer to nothing")
		}
	}
	return texts
}

func wrongDoors(p Participant) (texts []string) {
	for _, name := range sorted(p.Doors) {
		isFact := slices.Contains(p.Facts, name)
		switch kind := p.Doors[name].Kind; {
		case kind == Request && isFact:
			texts = append(texts, name+" is a request and must not be among the facts")
		case kind == Fact && !isFact:
			texts = append(texts, name+" must be among the facts")
		case kind == Fact && !p.States[p.Evolve[name]].First:
			texts = append(texts, name+" must lead to a first state")
		}
	}
	return texts
}

func unheardMustAnswers(p Participant) (texts []string) {
	for _, cause := range p.MustAnswer {
		if _, ok := p.Reacts[cause]; !ok {
			texts = append(texts, cause+" must be answered, but is not listened to")
		}
	}
	return texts
}

// endless walks from every event along its answers and reports each way that comes back to where it was.
func endless(c *Choreography) (texts []string) {
	answers := map[string][]string{}
	for _, e := range c.Edges() {
		answers[e.Cause] = append(answers[e.Cause], e.Fact)
	}
	done := map[string]bool{}
	var walk func(way []string, event string)
	walk = func(way []string, event string) {
		if i := slices.Index(way, event); i >= 0 {
			texts = append(texts, strings.Join(append(way[i:], event), " → "))
			return
		}
		if done[event] {
			return
		}
		way = append(slices.Clone(way), event)
		for _, next := range answers[event] {
			walk(way, next)
		}
		done[event] = true
	}
	for _, t := range c.Types() {
		walk(nil, t)
	}
	return texts
}

// decides says whether a fact is the answer to something.
func (p Participant) decides(fact string) bool {
	for _, facts := range p.Reacts {
		if slices.Contains(facts, fact) {
			return true
		}
	}
	return false
}
