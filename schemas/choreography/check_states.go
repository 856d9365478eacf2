package choreography

import (
	"fmt"
	"slices"
	"strings"
)

func incompleteEvolve(p Participant) (texts []string) {
	for _, fact := range p.Facts {
		if _, ok := p.Evolve[fact]; !ok {
			texts = append(texts, fact+" leads to no state")
		}
	}
	for _, fact := range sorted(p.Evolve) {
		if !slices.Contains(p.Facts, fact) {
			texts = append(texts, fact+" is no fact")
		}
		if _, ok := p.States[p.Evolve[fact]]; !ok {
			texts = append(texts, fmt.Sprintf("%s leads to %s, which is no state", fact, p.Evolve[fact]))
		}
	}
	for _, name := range sorted(p.States) {
		for _, next := range p.States[name].Next {
			if _, ok := p.States[next]; !ok {
				texts = append(texts, fmt.Sprintf("%s is followed by %s, which is no state", name, next))
			}
		}
	}
	return texts
}

func unreachableStates(p Participant) (texts []string) {
	led := map[string]bool{}
	for _, state := range p.Evolve {
		led[state] = true
	}
	var first []string
	for _, name := range sorted(p.States) {
		if p.States[name].First && led[name] {
			first = append(first, name)
		}
	}
	reached := p.from(first, func(next string) bool { return led[next] })
	for _, name := range sorted(p.States) {
		if !reached[name] {
			texts = append(texts, "nothing leads to "+name)
		}
	}
	return texts
}

func deadEnds(p Participant) (texts []string) {
	for _, name := range sorted(p.States) {
		way := p.from([]string{name}, func(string) bool { return true })
		if !slices.ContainsFunc(sorted(way), func(s string) bool { return p.States[s].Final }) {
			texts = append(texts, fmt.Sprintf("from %s there is no way to a final state", name))
		}
	}
	return texts
}

// from returns the states that can be reached from some, those included, by steps that are allowed.
func (p Participant) from(start []string, allowed func(next string) bool) map[string]bool {
	reached := map[string]bool{}
	for todo := slices.Clone(start); len(todo) > 0; {
		name := todo[0]
		todo = todo[1:]
		if reached[name] {
			continue
		}
		reached[name] = true
		for _, next := range p.States[name].Next {
			if allowed(next) {
				todo = append(todo, next)
			}
		}
	}
	return reached
}

func noDeadlines(p Participant) (texts []string) {
	for _, name := range sorted(p.States) {
		if s := p.States[name]; !s.Final && s.Deadline == "" {
			texts = append(texts, fmt.Sprintf("%s is not final and has no deadline", name))
		}
	}
	return texts
}

func uselessDeadlines(p Participant) (texts []string) {
	guarded := map[string]bool{}
	for _, name := range sorted(p.States) {
		s := p.States[name]
		if s.Deadline == "" {
			continue
		}
		ref := deadline + "." + s.Deadline
		guarded[ref] = true
		switch answers, ok := p.Reacts[ref]; {
		case !ok:
			texts = append(texts, fmt.Sprintf("%s passes in %s and nothing reacts to it", s.Deadline, name))
		case !slices.ContainsFunc(answers, func(fact string) bool { return slices.Contains(s.Next, p.Evolve[fact]) }):
			texts = append(texts, fmt.Sprintf("what answers %s does not lead out of %s", s.Deadline, name))
		}
	}
	for _, cause := range sorted(p.Reacts) {
		if strings.HasPrefix(cause, deadline+".") && !guarded[cause] {
			texts = append(texts, fmt.Sprintf("no state has the deadline of %s", cause))
		}
	}
	return texts
}

func noWayOut(p Participant) []string {
	if len(p.Effects) > 0 && len(p.Reaches) == 0 {
		return []string{"has effects outside, and reaches nothing there"}
	}
	return nil
}

func uncompensatedEffects(p Participant) (texts []string) {
	compensates := map[string]bool{}
	for _, by := range p.Compensations {
		compensates[by.By] = true
	}
	for _, fact := range p.Effects {
		_, compensated := p.Compensations[fact]
		why, irrevocable := p.Irrevocable[fact]
		switch {
		case !slices.Contains(p.Facts, fact):
			texts = append(texts, fmt.Sprintf("effect %s is no fact", fact))
		case irrevocable && why == "":
			texts = append(texts, fact+" is irrevocable without a reason")
		case irrevocable && compensated:
			texts = append(texts, fact+" is both irrevocable and compensated")
		case !irrevocable && !compensated && !compensates[fact]:
			texts = append(texts, fact+" happens outside and nothing undoes it")
		}
	}
	for _, fact := range sorted(p.Irrevocable) {
		if !slices.Contains(p.Effects, fact) {
			texts = append(texts, fact+" is irrevocable, but no effect")
		}
	}
	return texts
}

func wrongCompensations(p Participant) (texts []string) {
	for _, fact := range sorted(p.Compensations) {
		by := p.Compensations[fact]
		answers, heard := p.Reacts[by.On]
		switch {
		case !slices.Contains(p.Effects, fact):
			texts = append(texts, fact+" is compensated, but no effect")
		case !heard:
			texts = append(texts, fmt.Sprintf("%s is undone on %s, which is not listened to", fact, by.On))
		case !slices.Contains(answers, by.By):
			texts = append(texts, fmt.Sprintf("%s is undone by %s, which does not answer %s", fact, by.By, by.On))
		case !slices.Contains(p.States[p.Evolve[fact]].Next, p.Evolve[by.By]):
			texts = append(texts, fmt.Sprintf("%s is undone by %s, which may not follow it", fact, by.By))
		}
	}
	return texts
}
