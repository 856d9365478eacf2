package broker

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/leavegroup"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/wait"
)

// Join implements Log. When ctx ends before the first generation, it returns only after the group has let it in.
func (c *Client) Join(ctx context.Context, group string, topics []string, partitions int,
	serve func(context.Context, Generation) error) error {
	j := joining{c, group, topics, partitions, serve}
	said := ""
	for failures := 0; ctx.Err() == nil; failures++ {
		began := time.Now()
		err := j.member(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case fault.ClassOf(err) == fault.Permanent:
			return err
		case err != nil && err.Error() != said:
			said = err.Error()
			slog.Warn("waiting to join the group again", "group", group, "error", err)
		}
		if time.Since(began) > time.Minute {
			failures = 0
		}
		backOff(ctx, failures)
	}
	return nil
}

// joining is one call of Join: who joins which group, and what serves its generations.
type joining struct {
	client     *Client
	group      string
	topics     []string
	partitions int
	serve      func(context.Context, Generation) error
}

// member takes part in the group, once all topics exist with the partitions that it shares out, until ctx ends or
// something fails.
func (j joining) member(ctx context.Context) error {
	c, group := j.client, j.group
	var topics []Topic
	for _, name := range j.topics {
		topics = append(topics, Topic{Name: name, Partitions: j.partitions})
	}
	if _, err := c.existing(ctx, topics); err != nil {
		return err
	}
	asked := "group " + group
	g, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: group, Brokers: c.cfg.Brokers, Dialer: c.dialer, Topics: j.topics,
		GroupBalancers:    []kafka.GroupBalancer{rangeAssignor{j.topics, j.partitions}},
		HeartbeatInterval: c.cfg.heartbeatEvery(), SessionTimeout: c.cfg.SessionTimeout,
		RebalanceTimeout: c.cfg.RebalanceTimeout, JoinGroupBackoff: failurePause, Timeout: answerWithin,
		StartOffset: kafka.FirstOffset,
	})
	if err != nil {
		return fault.New(fault.Permanent, "group %s: %w", group, err)
	}
	m := &membership{client: c, group: g, name: group}
	defer m.leave(context.WithoutCancel(ctx))
	for failures := 0; ; {
		gen, err := g.Next(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, kafka.RebalanceInProgress): // still a member, which is joining again
			continue
		case err != nil:
			m.id = "" // kafka-go has left the group
			return c.failed(asked, asked, err)
		}
		c.outage.answered(asked)
		m.id = gen.MemberID
		returned := make(chan served, 1)
		gen.Start(func(over context.Context) {
			s := c.serve(ctx, over, gen, j.serve)
			if ctx.Err() != nil || fault.ClassOf(s.err) == fault.Permanent {
				m.beginLeaving(context.WithoutCancel(ctx))
			}
			returned <- s
		})
		switch s := <-returned; {
		case ctx.Err() != nil:
			return nil
		case fault.ClassOf(s.err) == fault.Permanent:
			return s.err
		case s.asked:
			failures = 0
		default:
			slog.Warn("left a generation early", "group", group, "generation", s.id, "error", s.err)
			backOff(ctx, failures)
			failures++
		}
	}
}

// backOff waits 50 ms to 3.2 s, longer with every failure, and never as long as another instance.
func backOff(ctx context.Context, failures int) { pause(ctx, wait.Backoff(2+min(failures, 5))) }

// membership is one kafka-go ConsumerGroup and how to get out of it. kafka-go joins again whenever a generation ends,
// and sees that it was closed only when it has joined, which takes as long as the slowest other member; so the
// coordinator is told first, which then refuses to let it in.
type membership struct {
	client  *Client
	group   *kafka.ConsumerGroup
	name    string
	id      string // of the member, known since its first generation
	closing sync.WaitGroup
}

// beginLeaving is called in a function of the generation, at whose return kafka-go would join again.
func (m *membership) beginLeaving(ctx context.Context) {
	m.closing.Go(func() { _ = m.group.Close() })
	_, _ = m.group.Next(ctx) // returns when Close has begun
	m.tell(ctx)
}

// tell takes the member out of the group.
func (m *membership) tell(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	// Its answer has nothing to say: when the member stays, its session ends soon.
	_, _ = m.client.transport.RoundTrip(ctx, m.client.addr, &leavegroup.Request{GroupID: m.name, MemberID: m.id,
		Members: []leavegroup.RequestMember{{MemberID: m.id}}})
	m.id = ""
}

// leave waits until nothing of the membership runs any more.
func (m *membership) leave(ctx context.Context) {
	m.closing.Go(func() { _ = m.group.Close() })
	if m.id != "" { // it may be joining again
		m.tell(ctx)
	}
	m.closing.Wait()
}
