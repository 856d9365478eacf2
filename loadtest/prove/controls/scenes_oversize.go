package main

import (
	"context"
	"math/rand/v2"

	"github.com/troupe-dev/troupe/loadtest/prove/oversize"
	"github.com/troupe-dev/troupe/schemas/check"
	"github.com/troupe-dev/troupe/services/troupe/load"
	"github.com/twmb/franz-go/pkg/kgo"
)

// larger: records come that are larger, once they are read, than what may be written; and then customers.
var larger = scene{Name: "larger than may be written", Act: func(ctx context.Context, s *stage) error {
	s.place(ctx, load.Plan{Orders: 3})
	if err := s.quiet(ctx, hitWithin); err != nil {
		return err
	}
	p, err := oversize.New(s.KafkaAddrs)
	if err != nil {
		return err
	}
	defer p.Close()
	mark := kgo.RecordHeader{Key: check.PoisonHeader, Value: []byte("order,payment,notification")}
	if err := p.Append(ctx, oversize.Records(rand.New(rand.NewPCG(s.seed, 0)), "order.events.v1", partitions, mark)); err != nil {
		return err
	}
	s.place(ctx, load.Plan{Orders: 5})
	return nil
}}
