package main

import (
	"context"
	"errors"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/services/troupe/inspect"
	"github.com/troupe-dev/troupe/services/troupe/load"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The results of beforeAndAfterPoison.
const (
	warmingUp = iota
	beforePoison
	victim
	afterPoison
)

// beforeAndAfterPoison places one half of the orders, poisons an order, and places the other half: none of them may notice. Banks
// take no time here, so that one would see it.
func (p *run) beforeAndAfterPoison(ctx context.Context, s *inspect.System) ([]load.Result, error) {
	var results []load.Result
	place := func(orders int) error {
		plan := p.plan(orders, p.seedNumber()+uint64(len(results)))
		plan.SlowOneIn, plan.UnsureOneIn = 0, 0
		p.say("%d orders at %.1f a second", orders, p.rate)
		r, err := plan.Run(ctx, p.Orders, nil)
		if results = append(results, r); err != nil {
			return err
		}
		return inspect.Quiet(ctx, *s, r.Expected, nil)
	}
	for _, orders := range []int{max(1, p.orders/10), p.orders - p.orders/2} {
		if err := place(orders); err != nil {
			return nil, err
		}
	}
	if err := p.poisonOne(ctx, s, &results); err != nil {
		return nil, err
	}
	return results, place(p.orders / 2)
}

// poisonOne places an order and puts garbage behind it in every topic.
func (p *run) poisonOne(ctx context.Context, s *inspect.System, results *[]load.Result) error {
	plan := p.plan(1, p.seedNumber()+victim)
	plan.DeclinedOneIn, plan.CancelledOneIn, plan.SlowOneIn, plan.UnsureOneIn = 0, 0, 0, 0
	r, err := plan.Run(ctx, p.Orders, nil)
	if err != nil || len(r.Expected) != 1 {
		return errors.Join(err, errors.New("the order to poison was not placed"))
	}
	*results = append(*results, r)
	id := r.Expected[0].ID
	s.Parked[id] = true
	for _, topic := range inspect.FactTopics() {
		garbage := kgo.Record{Topic: topic, Partition: int32(broker.Partition([]byte(id), partitions)), Key: []byte(id),
			Value: []byte("poison"), Headers: []kgo.RecordHeader{mark(topic)}}
		if err := p.intruder.append(ctx, &garbage); err != nil {
			return err
		}
	}
	p.say("order %s is poisoned in every topic", id)
	return nil
}
