package pulse

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
)

// flowsKept is over how many samples a rate is measured.
const flowsKept = 4

// flow is where everybody stood at a moment. Commits were asked for before the ends: what is committed in it has its answers before
// the ends.
type flow struct {
	at        time.Time
	standings map[string]broker.Standing // by group
	ends      map[broker.TopicPartition]int64
}

// listens returns who takes part, sorted, and the logs that each reads.
func (c Config) listens() (groups []string, logs map[string][]broker.TopicPartition) {
	groups = slices.Concat(slices.Collect(maps.Keys(c.Choreography.Participants)), slices.Collect(maps.Keys(c.Choreography.Readers)))
	groups = slices.DeleteFunc(groups, func(g string) bool { return len(c.Choreography.Subscriptions(g)) == 0 }) // the console itself
	slices.Sort(groups)
	logs = map[string][]broker.TopicPartition{}
	for _, g := range groups {
		for _, topic := range slices.Sorted(maps.Keys(c.Choreography.Subscriptions(g))) {
			logs[g] = append(logs[g], c.logsOf(topic)...)
		}
	}
	return groups, logs
}

func (c Config) logsOf(topic string) []broker.TopicPartition {
	logs := make([]broker.TopicPartition, c.Partitions)
	for p := range logs {
		logs[p] = broker.TopicPartition{Topic: topic, Partition: p}
	}
	return logs
}

// stand asks Kafka where everybody stands.
func (p *Pulse) stand(ctx context.Context) (flow, error) {
	f := flow{at: time.Now(), standings: map[string]broker.Standing{}}
	groups, logs := p.cfg.listens()
	var mu sync.Mutex
	var wg sync.WaitGroup
	var errs []error
	for _, g := range groups {
		wg.Go(func() {
			s, err := p.cfg.Groups.Group(ctx, g, logs[g])
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
			f.standings[g] = s
		})
	}
	wg.Wait()
	err := errors.Join(errs...)
	if err == nil {
		f.ends, err = p.cfg.Log.Ends(ctx, p.journal.logs)
	}
	return f, err
}

// rates fills in how much flows, since the oldest of the flows that are kept, and how far behind each group is.
func (p *Pulse) rates(s *Sample, f flow) {
	before := p.flows[0]
	took := f.at.Sub(before.at).Seconds()
	each := func(n int64) float64 {
		if took <= 0 || n <= 0 {
			return 0
		}
		return float64(n) / took
	}
	for _, topic := range p.cfg.Choreography.Topics() {
		n := int64(0)
		for _, tp := range p.cfg.logsOf(topic) {
			n += f.ends[tp] - before.ends[tp]
		}
		s.Topics[topic] = each(n)
	}
	_, logs := p.cfg.listens()
	for g, standing := range f.standings {
		r := Reader{Topics: map[string]float64{}}
		if standing.Members == 0 {
			r.Stopped = "nobody consumes"
		}
		for _, tp := range logs[g] {
			at := standing.Committed[tp]
			r.Topics[tp.Topic] += each(max(at, 0) - max(before.standings[g].Committed[tp], 0))
			if at = max(at, p.journal.starts[tp]); at < f.ends[tp] {
				r.Records += f.ends[tp] - at
				if since, ok := p.journal.timeOf(tp, at); ok {
					r.Lag = max(r.Lag, f.at.Sub(since))
				}
			}
		}
		s.Readers[g] = r
	}
}
