package pulse

import (
	"context"
	"errors"
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

// listens returns the logs that each group reads. The console, which reads no facts, is none of them.
func (c Config) listens() map[string][]broker.TopicPartition {
	logs := map[string][]broker.TopicPartition{}
	for _, g := range c.Choreography.Names() {
		for topic := range c.Choreography.Subscriptions(g) {
			logs[g] = append(logs[g], c.logsOf(topic)...)
		}
	}
	return logs
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
	var mu sync.Mutex
	var wg sync.WaitGroup
	var errs []error
	for g, logs := range p.cfg.listens() {
		wg.Go(func() {
			s, err := p.cfg.Groups.Group(ctx, g, logs)
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
	for g, logs := range p.cfg.listens() {
		standing := f.standings[g]
		r := Reader{Topics: map[string]float64{}}
		if standing.Members == 0 {
			r.Stopped = "nobody consumes"
		}
		for _, tp := range logs {
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
