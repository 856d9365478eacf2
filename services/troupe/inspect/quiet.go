package inspect

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/wait"
	"github.com/troupe-dev/troupe/schemas/check"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

// askEvery is the pause between two looks at a system that is not quiet yet.
const askEvery = 200 * time.Millisecond

// Quiet blocks until the system has come to rest: every expected order is settled and its customer told, every participant has
// committed the whole of what it listens to, the read model has passed all of it, and nothing was appended meanwhile. When ctx ends
// first, the error says what was still missing. progress, when set, is told now and then.
func Quiet(ctx context.Context, s System, expected []check.Expected, progress func(missing string)) error {
	open := slices.DeleteFunc(slices.Clone(expected), func(e check.Expected) bool { return s.Parked[e.ID] })
	for {
		missing := ""
		if open = s.unsettled(ctx, open); len(open) > 0 {
			missing = fmt.Sprintf("%d orders are not settled and told, such as %s", len(open), open[0].ID)
		} else if missing = s.restless(ctx, expected); missing == "" {
			return nil
		}
		if progress != nil {
			progress(missing)
		}
		if err := wait.Sleep(ctx, askEvery); err != nil {
			return fmt.Errorf("not quiet: %s: %w", missing, err)
		}
	}
}

// unsettled returns those of the orders that are not at their end.
func (s System) unsettled(ctx context.Context, orders []check.Expected) []check.Expected {
	done := make([]bool, len(orders))
	_ = each(len(orders), func(i int) error {
		o, err := s.Orders.Order(ctx, orders[i].ID, rest.Read{})
		done[i] = err == nil && rest.Ended(o) && (!orders[i].CancelAsked || o.Status == "cancelled")
		return ctx.Err()
	})
	var open []check.Expected
	for i, d := range done {
		if !d {
			open = append(open, orders[i])
		}
	}
	return open
}

// restless says what is still moving, or "".
func (s System) restless(ctx context.Context, expected []check.Expected) string {
	topics := FactTopics()
	for _, p := range participants {
		topics = append(topics, check.RequestsTopic(p), check.LettersTopic(p))
	}
	before, err := s.Log.Ends(ctx, topics)
	if err != nil {
		return err.Error()
	}
	for _, group := range participants {
		if missing := s.behind(ctx, group, before); missing != "" {
			return missing
		}
	}
	if len(expected) > 0 {
		for tp, end := range before {
			if end == 0 || !slices.Contains(FactTopics(), tp.Topic) {
				continue
			}
			// Any order will do: the token makes the read wait for the partition.
			if _, err := s.Orders.Order(ctx, expected[0].ID, rest.Read{Token: event.Token(tp, end-1), Wait: time.Second}); err != nil {
				return fmt.Sprintf("the read model has not passed %s/%d: %v", tp.Topic, tp.Partition, err)
			}
		}
	}
	after, err := s.Log.Ends(ctx, topics)
	if err != nil {
		return err.Error()
	}
	for tp, end := range after {
		if end != before[tp] {
			return fmt.Sprintf("%s/%d is growing", tp.Topic, tp.Partition)
		}
	}
	return ""
}

// behind says where a group has not committed to the end of a topic that it listens to, or "".
func (s System) behind(ctx context.Context, group string, ends map[broker.TopicPartition]int64) string {
	committed, err := s.Log.Committed(ctx, group)
	if err != nil {
		return err.Error()
	}
	if len(committed) == 0 {
		return "group " + group + " has committed nothing"
	}
	listens := map[string]bool{}
	for tp := range committed {
		listens[tp.Topic] = true
	}
	var open []string
	for tp, end := range ends {
		if listens[tp.Topic] && end > 0 && committed[tp] < end {
			open = append(open, fmt.Sprintf("%s/%d to %d of %d", tp.Topic, tp.Partition, committed[tp], end))
		}
	}
	if len(open) == 0 {
		return ""
	}
	slices.Sort(open)
	return "group " + group + " has committed " + strings.Join(open, ", ")
}
