package projection

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// identifyEvery is how often an instance asks which logs the topics are: so long may documents of one that is gone be
// read.
const identifyEvery = time.Second

// identify asks which logs the topics are, by topic; one that does not exist is left out. The number of partitions is
// part of it: keys are spread by that. Positions and documents of other logs count for nothing.
func (p *Projection[D]) identify(ctx context.Context) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	ids, err := p.cfg.Log.Identities(ctx, p.topics)
	logs := make(map[string]string, len(ids))
	for topic, id := range ids {
		logs[topic] = id + "/" + strconv.Itoa(p.cfg.Partitions)
	}
	return logs, err
}

// watchLogs looks, beside the cycle, whether the logs are still those that were folded. A task whose logs are not is
// taken over anew.
func (c *cycle[D]) watchLogs(ctx context.Context, wg *sync.WaitGroup) {
	wg.Go(func() {
		tick := time.NewTicker(identifyEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			now, err := c.identify(ctx)
			if err != nil {
				continue // an outage the fetches tell
			}
			select {
			case <-ctx.Done():
				return
			case c.news <- func() { c.compareLogs(now) }:
			}
		}
	})
}

func (c *cycle[D]) compareLogs(now map[string]string) {
	for _, t := range c.tasks {
		if t.taken && slices.ContainsFunc(c.topics, func(topic string) bool {
			return now[topic] != "" && now[topic] != t.logs[topic]
		}) {
			t.drop()
		}
	}
}

// logs says which logs the topics are, and where those of some tasks end; in this order: that the ends are of another
// log already, watchLogs finds out.
func (c *cycle[D]) logs(ctx context.Context, of []*task) (map[string]string, map[broker.TopicPartition]int64, error) {
	identities, err := c.identify(ctx)
	for _, topic := range c.topics {
		if err == nil && identities[topic] == "" {
			err = fault.New(fault.Unavailable, "topic %s does not exist", topic)
		}
	}
	if err != nil {
		return nil, nil, &outage{partKafka, err}
	}
	var logs []broker.TopicPartition
	for _, t := range of {
		for _, s := range t.sources {
			logs = append(logs, s.TopicPartition)
		}
	}
	ends, err := c.cfg.Log.Ends(ctx, logs)
	if err != nil {
		return nil, nil, &outage{partKafka, err}
	}
	return identities, ends, nil
}

// replaced finds the topics whose positions, as kept, are of other logs than those that are there now, or beyond their
// ends. Positions of which nothing is known were written by a release that did not tell: they are believed.
func (t *task) replaced(now map[string]string, ends map[broker.TopicPartition]int64) (topics []string) {
	for _, s := range t.sources {
		if was := t.logs[s.Topic]; was != "" && was != now[s.Topic] || s.applied > ends[s.TopicPartition] {
			topics = append(topics, s.Topic)
		}
	}
	return topics
}

// identities are fields of the meta, and their values: which logs the positions are of.
func (t *task) identities() (fields []string) {
	for _, topic := range slices.Sorted(maps.Keys(t.logs)) {
		fields = append(fields, fieldLog+topic, t.logs[topic])
	}
	return fields
}
