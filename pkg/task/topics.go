package task

import (
	"context"
	"strconv"
	"sync/atomic"

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

// topicWatch looks, beside the engine, whether the logs are still those that tasks were restored from.
type topicWatch[T Task] struct {
	*tasks[T]
	topics  atomic.Pointer[Logs] // as they are now; nil: nobody asked since
	missing string               // a topic that was deleted; empty: none
}

// identify asks which logs tasks are about to be restored from.
func (w *topicWatch[T]) identify(ctx context.Context) (ids map[string]string, err error) {
	w.topics.Store(nil)
	found, err := Identify(ctx, w.Log, w.positioned(), w.Partitions)
	if err == nil && found.Missing != "" {
		err = fault.New(fault.Unavailable, "topic %s does not exist", found.Missing)
	}
	return found.IDs, err
}

// watchTopics asks until the engine ends.
func (w *topicWatch[T]) watchTopics() {
	for wait.Sleep(w.ctx, identifyEvery) == nil {
		found, err := Identify(w.ctx, w.Log, w.positioned(), w.Partitions)
		if err == nil { // an outage the client tells
			w.topics.Store(&found)
		}
	}
}

// compareTopics gives up the tasks whose logs are gone.
func (w *topicWatch[T]) compareTopics() {
	found := w.topics.Swap(nil)
	if found == nil {
		return
	}
	if w.missing != found.Missing && found.Missing != "" {
		w.Logger.Error("a topic was deleted; waiting for it", "topic", found.Missing)
	}
	w.missing = found.Missing
	for _, t := range w.owned {
		p := t.part()
		for topic, id := range found.IDs {
			if p.logs[topic] != id {
				p.giveUp() // the claim that follows says it
			}
		}
	}
}
