package main

import (
	"context"
	"errors"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/services/troupe/check"
	"github.com/troupe-dev/troupe/services/troupe/load"
	"github.com/twmb/franz-go/pkg/kgo"
)

// beforeAndAfterPoison places one half of the orders, poisons an order, and places the other half: none of them may notice.
func (p *run) beforeAndAfterPoison(ctx context.Context, s *check.System) ([]load.Result, error) {
	var results []load.Result
	half := func(seed uint64, orders int) error {
		p.say("%d orders at %.1f a second", orders, p.rate)
		r, err := p.plan(orders, seed).Run(ctx, p.Orders, nil)
		results = append(results, r)
		return err
	}
	if err := half(p.seedNumber(), p.orders-p.orders/2); err != nil {
		return nil, err
	}
	first, _ := all(results)
	if err := check.Quiet(ctx, *s, first, nil); err != nil {
		return nil, err
	}
	plan := p.plan(1, p.seedNumber()+1)
	plan.DeclinedOneIn, plan.CancelledOneIn, plan.SlowOneIn, plan.UnsureOneIn = 0, 0, 0, 0
	victim, err := plan.Run(ctx, p.Orders, nil)
	if err != nil || len(victim.Expected) != 1 {
		return nil, errors.Join(err, errors.New("the order to poison was not placed"))
	}
	results = append(results, victim)
	id := victim.Expected[0].ID
	s.Parked[id] = true
	for _, topic := range check.FactTopics() {
		mark := kgo.RecordHeader{Key: check.PoisonHeader, Value: []byte(listeners[topic])}
		garbage := kgo.Record{Topic: topic, Partition: int32(broker.Partition([]byte(id), partitions)), Key: []byte(id),
			Value: []byte("poison"), Headers: []kgo.RecordHeader{mark}}
		if err := p.intruder.append(ctx, []*kgo.Record{&garbage}); err != nil {
			return nil, err
		}
	}
	p.say("order %s is poisoned in every topic", id)
	return results, half(p.seedNumber()+2, p.orders/2)
}
