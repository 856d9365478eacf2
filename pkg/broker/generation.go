package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/segmentio/kafka-go"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// generation implements Generation over kafka-go's, whose id is in each of its commits and heartbeats: the coordinator
// refuses those of an old one.
type generation struct {
	client    *Client
	gen       *kafka.Generation
	assigned  []TopicPartition
	committed map[TopicPartition]int64 // when the generation began; without those that have none
	commits   sync.WaitGroup           // in flight: they may outlive their call
	ended     atomic.Bool              // serve has returned, so that the member has joined again or left
}

// served is how a generation went: asked is true when it was over before serve returned.
type served struct {
	id    string
	asked bool
	err   error
}

// serve has a generation served, on a goroutine of kafka-go's. kafka-go joins the next generation when serve returns,
// so nothing of this one may run after it: neither heartbeats nor commits. over ends when the generation does.
func (c *Client) serve(ctx, over context.Context, gen *kafka.Generation,
	serve func(context.Context, Generation) error) served {
	g := &generation{client: c, gen: gen, committed: map[TopicPartition]int64{}}
	for topic, partitions := range gen.Assignments {
		for _, p := range partitions {
			tp := TopicPartition{topic, p.ID}
			g.assigned = append(g.assigned, tp)
			if p.Offset >= 0 {
				g.committed[tp] = p.Offset
			}
		}
	}
	slices.SortFunc(g.assigned, compareLogs)
	if over.Err() != nil {
		return served{g.ID(), true, nil}
	}
	slog.Info("generation began", "group", gen.GroupID, "generation", g.ID(), "logs", len(g.assigned))
	serving, stop := context.WithCancel(ctx)
	unhook := context.AfterFunc(over, stop)
	defer unhook()
	finishing, finished := context.WithCancel(c.life)
	var alive sync.WaitGroup
	alive.Go(func() { g.keepAlive(finishing, over) })
	err := serve(serving, g)
	asked := serving.Err() != nil
	g.ended.Store(true)
	stop()
	finished()
	alive.Wait()
	g.commits.Wait()
	return served{g.ID(), asked, err}
}

// keepAlive sends heartbeats from the end of the generation until serve has finished: kafka-go stops them at the first
// sign of a rebalance, and the session time-out would then cut short what the rebalance time-out allows.
func (g *generation) keepAlive(ctx, over context.Context) {
	select {
	case <-over.Done():
	case <-ctx.Done():
		return
	}
	for ctx.Err() == nil && fault.ClassOf(g.Holds(ctx)) != fault.Conflict {
		pause(ctx, g.client.cfg.heartbeatEvery())
	}
}

// ID implements Generation.
func (g *generation) ID() string { return fmt.Sprintf("%s@%d", g.gen.MemberID, g.gen.ID) }

// Assigned implements Generation.
func (g *generation) Assigned() []TopicPartition { return slices.Clone(g.assigned) }

// Committed implements Generation.
func (g *generation) Committed(tp TopicPartition) int64 {
	if offset, ok := g.committed[tp]; ok {
		return offset
	}
	return -1
}

// Commit implements Generation. When ctx ends first the commit may still be made.
func (g *generation) Commit(ctx context.Context, offsets map[TopicPartition]int64) error {
	if len(offsets) == 0 {
		return nil
	}
	if g.ended.Load() {
		return fault.New(fault.Conflict, "commit: generation %s is over", g.ID())
	}
	topics := map[string]map[int]int64{}
	for tp, offset := range offsets {
		if topics[tp.Topic] == nil {
			topics[tp.Topic] = map[int]int64{}
		}
		topics[tp.Topic][tp.Partition] = offset
	}
	answered := make(chan error, 1)
	g.commits.Go(func() { answered <- g.gen.CommitOffsets(topics) })
	select {
	case err := <-answered:
		return g.over("commit", err)
	case <-ctx.Done():
		return gone(ctx)
	}
}

// heartbeatVersion is the version of Heartbeat that is spoken here. kafka-go's own messages cannot be used: the request
// does not go to the coordinator, and the response has its two fields in the wrong order, so that it shows no error.
const heartbeatVersion = 2

// Holds implements Generation. A rebalance that waits for this member has not taken its partitions yet.
func (g *generation) Holds(ctx context.Context) error {
	if g.ended.Load() {
		return fault.New(fault.Conflict, "generation %s is over", g.ID())
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	request := &kmsg.HeartbeatRequest{Version: heartbeatVersion, Group: g.gen.GroupID, Generation: g.gen.ID,
		MemberID: g.gen.MemberID}
	r, err := request.RequestWith(ctx, g.client.coordinator(g.gen.GroupID))
	if err != nil {
		return err
	}
	answer := kafka.Error(r.ErrorCode)
	if answer == 0 || answer == kafka.RebalanceInProgress {
		return nil
	}
	return g.over("heartbeat", answer)
}

// over classifies an answer of the group.
func (g *generation) over(doing string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, kafka.RebalanceInProgress) {
		return fault.New(fault.Conflict, "%s of generation %s: %w", doing, g.ID(), err)
	}
	return classify(fmt.Sprintf("%s of generation %s", doing, g.ID()), err)
}
