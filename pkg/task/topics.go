package task

import (
	"context"
	"strconv"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/wait"
)

// A position means nothing without the log it is of: when a topic is deleted and created anew, the same number is
// another record, or none yet. So meta says beside the positions which logs they are of.

// Logs are topics as they were at one moment.
type Logs struct {
	// IDs by topic: which log it is, and the number of partitions its keys are spread over.
	IDs map[string]string
	// Missing is a topic that does not exist; empty: all do.
	Missing string
}

// Identify asks which logs some topics are. It takes StoreTimeout at most.
func Identify(ctx context.Context, log broker.Log, topics []string, partitions int) (Logs, error) {
	ctx, cancel := context.WithTimeout(ctx, StoreTimeout)
	defer cancel()
	ids, err := log.Identities(ctx, topics)
	if err != nil {
		return Logs{}, err
	}
	found := Logs{IDs: map[string]string{}}
	for _, topic := range topics {
		if id, ok := ids[topic]; ok {
			found.IDs[topic] = id + "/" + strconv.Itoa(partitions)
		} else {
			found.Missing = topic
		}
	}
	return found, nil
}

// positioned are all topics in which a task has a position.
func (i *Instance) positioned() []string { return append(append([]string{}, i.Own...), i.Inputs...) }

// identify asks which logs tasks are about to be restored from.
func (e *Engine[T]) identify(ctx context.Context) (ids map[string]string, err error) {
	e.topics.Store(nil)
	found, err := Identify(ctx, e.Log, e.positioned(), e.Partitions)
	if err == nil && found.Missing != "" {
		err = fault.New(fault.Unavailable, "topic %s does not exist", found.Missing)
	}
	return found.IDs, err
}

// watchTopics looks, beside the engine, whether the logs are still those that tasks were restored from.
func (e *Engine[T]) watchTopics() {
	for wait.Sleep(e.ctx, identifyEvery) == nil {
		if found, err := Identify(e.ctx, e.Log, e.positioned(), e.Partitions); err == nil { // an outage the client says itself
			e.topics.Store(&found)
		}
	}
}

// compareTopics gives up the tasks whose logs are gone.
func (e *Engine[T]) compareTopics() {
	found := e.topics.Swap(nil)
	if found == nil {
		return
	}
	if e.missing != found.Missing && found.Missing != "" {
		e.Logger.Error("a topic was deleted; waiting for it", "topic", found.Missing)
	}
	e.missing = found.Missing
	for _, t := range e.tasks {
		p := t.part()
		for topic, id := range found.IDs {
			if p.logs[topic] != id {
				p.giveUp() // the claim that follows says it
			}
		}
	}
}

// compareLogs finds the topics whose positions, as kept, are of other logs than those that are there now, and remembers
// what must be written of those. Positions of which nothing is known were written by a release that did not tell: they
// are believed.
func (p *Partition) compareLogs(kept, now map[string]string) {
	p.logs = now
	for topic, id := range now {
		was, known := kept[PrefixLog+topic]
		if was == id {
			continue
		}
		p.unwritten = append(p.unwritten, PrefixLog+topic, id)
		if known {
			p.Replaced[topic] = true
		}
	}
}
