package pulse

import (
	"context"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/services/console/internal/letters"
)

// flowsKept is over how many samples a rate is measured.
const flowsKept = 4

// flow is where everybody stood at a moment. Commits were asked for before the ends: what is committed in it has its answers
// before the ends.
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
			logs[g] = append(logs[g], broker.LogsOf(c.Partitions, topic)...)
		}
	}
	return logs
}

// logs are those that the journal reads.
func (c Config) logs() []broker.TopicPartition {
	logs := broker.LogsOf(c.Partitions, topics...)
	for _, participant := range letters.Participants {
		logs = append(logs, broker.LogsOf(c.Partitions, deadletter.Topic(participant))...)
	}
	return logs
}

// stand asks Kafka where everybody stands.
func (p *Pulse) stand(ctx context.Context) (f flow, err error) {
	f = flow{at: time.Now(), standings: map[string]broker.Standing{}}
	for g, logs := range p.cfg.listens() {
		if f.standings[g], err = p.cfg.Groups.Group(ctx, g, logs); err != nil {
			return f, err
		}
	}
	f.ends, err = p.cfg.Log.Ends(ctx, p.cfg.logs())
	return f, err
}

// rates fills in how much flows, since the oldest of the flows that are kept, and how far behind each group is.
func (p *Pulse) rates(s *Sample, f flow) {
	before := p.flows[0]
	took := f.at.Sub(before.at).Seconds()
	for _, topic := range p.cfg.Choreography.Topics() {
		n := int64(0)
		for _, tp := range broker.LogsOf(p.cfg.Partitions, topic) {
			n += f.ends[tp] - before.ends[tp]
		}
		if took > 0 {
			s.Topics[topic] = float64(max(0, n)) / took
		}
	}
	for g, logs := range p.cfg.listens() {
		standing, lag := f.standings[g], time.Duration(0)
		s.Groups[g] = &Group{}
		if standing.Members == 0 {
			s.Groups[g].Stopped = "nobody consumes"
		}
		for _, tp := range logs {
			log, known := p.journal.places[tp] // the journal knows the topics of orders alone
			if !known {
				continue
			}
			if at := max(standing.Committed[tp], log.start); at < f.ends[tp] {
				s.Groups[g].LagRecords += f.ends[tp] - at
				lag = max(lag, log.age(at, f.at))
			}
		}
		s.Groups[g].LagMS = lag.Milliseconds()
	}
}
