package simulation

import (
	"fmt"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/participant"
	"github.com/troupe-dev/troupe/pkg/participant/participanttest"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

// The toys keep the rules that are asked of real participants: what the simulation finds is the engine's fault.
func TestTheFiveRules(t *testing.T) {
	bodies := func(kind string) participanttest.Bodies {
		return func(t *rapid.T, at time.Time) proto.Message {
			switch kind {
			case placed:
				card := rapid.SampledFrom([]string{"good", "bad"}).Draw(t, "card")
				return body(placed, fmt.Sprint(card, " ", at.Add(15*time.Minute).UnixMilli()))
			case mailed:
				return body(mailed, rapid.SampledFrom([]string{confirmed, cancelled, refunded}).Draw(t, "of"))
			}
			return body(kind, "")
		}
	}
	for part := range participants {
		t.Run(names[part], func(t *testing.T) {
			s := participanttest.Suite[state]{
				Instances: func(t *rapid.T) func() participant.Behavior[state] {
					w := &world{gateway: newGateway(), schedule: schedule{}, passed: map[string]bool{}}
					w.gateway.down = rapid.Bool().Draw(t, "gateway is down")
					return func() participant.Behavior[state] { return behavior(&instance{world: w, part: part}, 1) }
				},
				Events:    map[string]participanttest.Bodies{},
				AskedOnce: part == mail,
			}
			for _, h := range behavior(&instance{part: part}, 1).Subscribes {
				for _, typ := range h.Types {
					s.Events[typ] = bodies(typ[len("simulation."):])
				}
			}
			if part == order {
				s.First = bodies(placed)
			}
			participanttest.Rules(t, s)
		})
	}
}
