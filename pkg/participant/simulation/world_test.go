package simulation

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/participant"
)

const (
	partitions = 2
	instances  = 2 // of each participant
	// payWithin is the deadline of an order.
	payWithin = 10 * time.Second
	holdLimit = time.Minute
)

// world is everything outside the instances: the log, the store, the gateway and what befalls them.
type world struct {
	schedule schedule
	began    time.Time
	log      *brokertest.Memory
	redis    *redisMemory
	gateway  *gateway
	work     sync.WaitGroup
	healed   chan struct{} // closed when nothing bad happens any more

	mu        sync.Mutex
	over      bool // nothing bad begins any more
	version   [participants]int
	slots     [participants][instances]*instance
	armed     []step
	passed    map[string]bool // places
	fates     []step          // of produces, waiting for their batch
	stores    []step          // of applies, waiting for theirs
	storeGone bool
	failures  map[string]int
	acked     map[string]bool // orders whose customer has the answer 202
	waiting   int             // customers without their answer
	fixed     bool            // nothing is poisoned any more
	requests  int             // about dead letters
	history   []map[string]any
	wrongs    []string
}

func newWorld(s schedule) *world {
	w := &world{
		schedule: s, began: time.Now(), log: brokertest.New(), redis: newRedis(), gateway: newGateway(), healed: make(chan struct{}),
		passed: map[string]bool{}, failures: map[string]int{}, acked: map[string]bool{},
	}
	w.log.RebalanceTimeout = 4 * time.Second
	w.log.OnProduce(w.produceFate)
	for part := range participants {
		w.version[part] = 1
	}
	return w
}

// wrong records that a promise was broken.
func (w *world) wrong(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrongs = append(w.wrongs, fmt.Sprintf(format, args...))
}

func orderID(n int) string { return fmt.Sprintf("order-%d", n) }

func (w *world) plan(id string) plan {
	for n, p := range w.schedule.Orders {
		if orderID(n) == id {
			return p
		}
	}
	return plan{}
}

func logOf(topic, id string) broker.TopicPartition {
	return broker.TopicPartition{Topic: topic, Partition: broker.Partition([]byte(id), partitions)}
}

// later does something after a while, or as soon as the world is healed.
func (w *world) later(after time.Duration, do func()) {
	w.work.Go(func() {
		t := time.NewTimer(after)
		defer t.Stop()
		select {
		case <-t.C:
		case <-w.healed:
		}
		do()
	})
}

// arm lets faults wait for their places, or strike at once when they have none, unless the world is healed.
func (w *world) arm(steps ...step) {
	for _, s := range steps {
		w.mu.Lock()
		in, over := w.slots[s.Part][s.Slot%instances], w.over
		if s.Place != "" && !over {
			w.armed = append(w.armed, s)
		}
		w.mu.Unlock()
		if s.Place == "" && !over {
			w.strikeNow(s, in)
		}
	}
}

// strike lets the faults happen that wait for an instance at a place.
func (w *world) strike(in *instance, place string) {
	w.mu.Lock()
	w.passed[place] = true
	var due []step
	kept := w.armed[:0:0]
	for _, s := range w.armed {
		switch {
		case s.Part != in.part || s.Place != place && s.Place != strings.Replace(place, "decide", "apply", 1):
			kept = append(kept, s)
		case s.Skip > 0:
			s.Skip--
			kept = append(kept, s)
		default:
			due = append(due, s)
		}
	}
	w.armed = kept
	w.mu.Unlock()
	for _, s := range due {
		w.strikeNow(s, in)
	}
}

// strikeNow lets one fault happen, to an instance.
func (w *world) strikeNow(s step, in *instance) {
	if !strings.HasPrefix(s.Do, "produce") { // what follows that follows when it befalls a batch
		defer w.arm(s.Next...)
	}
	expire := func() {
		in.mu.Lock()
		member := in.member
		in.mu.Unlock()
		w.log.Expire(names[in.part], member)
	}
	switch s.Do {
	case "kill", "crash": // the group notices a crash at once, and a kill when the session is over
		in.kill()
		if s.Do == "crash" {
			expire()
		}
		if in.replace() {
			w.later(s.For, func() { w.start(in.part, in.slot) })
		}
	case "zombie":
		in.freeze()
		expire()
		if s.Cut {
			in.cut(true)
			w.later(s.For+cutFor, func() { in.cut(false) })
		}
		if s.For > 0 {
			w.later(s.For, in.unfreeze)
			return
		}
		w.mu.Lock()
		w.armed = append(w.armed, step{Do: "wake", Part: in.part, Place: s.Wake, Skip: s.Back - 1, sleeper: in})
		w.mu.Unlock()
		w.later(time.Hour, in.unfreeze)
	case "wake":
		s.sleeper.unfreeze()
	case "pause":
		in.freeze()
		w.later(s.For, in.unfreeze)
	case "expire":
		expire()
	case "flush":
		w.redis.Flush()
	case "lose":
		w.redis.Lose(s.Back*(s.Slot+1) + s.Skip)
	case "restore":
		w.mu.Lock()
		old := w.history[max(0, len(w.history)-s.Back)]
		w.mu.Unlock()
		w.redis.restore(old)
	case "upgrade":
		w.upgrade(in.part)
	case "storeDown":
		w.setStore(true)
		w.later(s.For, func() { w.setStore(false) })
	case "brokerDown":
		w.log.Down(errors.New("the broker is down"))
		w.later(s.For, func() { w.log.Down(nil) })
	case "gatewayDown":
		w.gateway.set(true)
		w.later(s.For, func() { w.gateway.set(false) })
	case "storeAnswerLost", "storeTwice":
		w.mu.Lock()
		w.stores = append(w.stores, s)
		w.mu.Unlock()
	default: // produce…
		w.mu.Lock()
		w.fates = append(w.fates, s)
		w.mu.Unlock()
	}
}

// upgrade replaces the instances of a participant by those of a new release, one after the other.
func (w *world) upgrade(part int) {
	w.mu.Lock()
	w.version[part]++
	w.mu.Unlock()
	w.work.Go(func() {
		for slot := range instances {
			w.mu.Lock()
			in := w.slots[part][slot]
			w.mu.Unlock()
			in.stop()
			<-in.done
			if in.replace() {
				w.start(part, slot)
			}
		}
	})
}

func (w *world) setStore(gone bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.storeGone = gone
}

var errStore = errors.New("connection refused")

// storeFate runs commands as the store and the way to it are at the moment.
func (w *world) storeFate(place string, cmds []redis.Cmder, do func(redis.Cmder)) error {
	w.mu.Lock()
	gone, fate, applies := w.storeGone, "", place == "apply" || place == "decide"
	if len(w.stores) > 0 && !gone && applies {
		fate = w.stores[0].Do
		w.stores = w.stores[1:]
	}
	w.mu.Unlock()
	if gone {
		return errStore
	}
	if applies {
		w.keep()
	}
	for _, c := range cmds {
		do(c)
		if fate == "storeTwice" { // a client that sends again what broke off
			c.SetErr(nil)
			do(c)
		}
	}
	if fate == "storeAnswerLost" {
		return errStore
	}
	return nil
}

// produceFate is what becomes of a batch.
func (w *world) produceFate(b broker.Batch) brokertest.Fate {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, s := range w.fates {
		if b.Topic != participant.FactsTopic(names[s.Part]) && b.Topic != participant.DeadLettersTopic(names[s.Part]) {
			continue
		}
		if s.log != nil && *s.log != b.TopicPartition || s.Next != nil && ofDoor(b) { // what follows is about what a task decided
			continue
		}
		if s.Skip > 0 {
			w.fates[i].Skip--
			continue
		}
		w.fates[i].log = &b.TopicPartition
		w.fates[i].Next = nil
		w.work.Go(func() { w.arm(s.Next...) })
		if w.fates[i].Back--; w.fates[i].Back <= 0 {
			w.fates = append(w.fates[:i:i], w.fates[i+1:]...)
		}
		switch s.Do {
		case "produceLost":
			return brokertest.Fate{Answer: brokertest.ErrLost}
		case "produceLate":
			return brokertest.Fate{Answer: brokertest.ErrLost, Late: true}
		case "produceDropped":
			return brokertest.Fate{Answer: brokertest.ErrLost, Drop: true}
		case "produceCopied":
			return brokertest.Fate{Copies: 1}
		}
		hold := make(chan struct{})
		w.later(s.For, func() { close(hold) })
		return brokertest.Fate{Hold: hold}
	}
	return brokertest.Fate{}
}

func ofDoor(b broker.Batch) bool {
	e, err := event.FromRecord(b.Records[0])
	return err == nil && e.CausationID == "" && b.Topic == participant.FactsTopic(names[order])
}

// duplicate appends a record of a topic again, one of the latest.
func (w *world) duplicate(topic string, back int) {
	records := w.log.ReadTopic(topic)
	if len(records) == 0 {
		return
	}
	r := records[max(0, len(records)-1-back)]
	w.log.Append(broker.TopicPartition{Topic: topic, Partition: r.Partition}, r)
}

// garbage appends a record that nobody can read to a participant's topic, under an order's key.
func (w *world) garbage(part int, id string) {
	tp := logOf(participant.FactsTopic(names[part]), id)
	w.log.Append(tp, broker.Record{Key: []byte(id), Value: []byte("{}"), Headers: broker.HeadersOf("ce_id", event.MakeID(id, "garbage"))})
}
