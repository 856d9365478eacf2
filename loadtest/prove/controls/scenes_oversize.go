package main

import (
	"math/rand/v2"

	"github.com/troupe-dev/troupe/loadtest/prove/rig"
	"github.com/troupe-dev/troupe/schemas/check"
	"github.com/troupe-dev/troupe/services/troupe/load"
	"github.com/twmb/franz-go/pkg/kgo"
)

// larger: records come that are larger, once they are read, than what may be written; and then customers.
var larger = scene{Name: "larger than may be written", Act: func(s *stage) {
	s.place(load.Plan{Orders: 3})
	s.rest()
	mark := kgo.RecordHeader{Key: check.PoisonHeader, Value: []byte("order,payment,notification")}
	s.append(rig.Oversized(rand.New(rand.NewPCG(s.seed, 0)), "order.events.v1", mark)...)
	s.place(load.Plan{Orders: 5})
}}
