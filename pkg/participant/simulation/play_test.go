package simulation

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/participant"
	"github.com/troupe-dev/troupe/pkg/participant/admission"
)

// quietWithin is how long, on the clock of the bubble, the troupe may take to finish once the world is healed.
const quietWithin = 5 * time.Minute

// upWithin is when all play that nothing holds up.
const upWithin = 100 * time.Millisecond

// play runs the schedule; what broke is in wrongs. It is called inside a bubble, as newWorld is.
func (w *world) play() {
	s := w.schedule
	w.keep()
	w.raise()
	next := 0
	place := func() {
		if next < len(s.Orders) {
			w.customer(next)
			next++
		}
	}
	if s.Up {
		pause(context.Background(), upWithin)
	}
	place()
	for _, st := range s.Steps {
		switch st.Do {
		case "wait":
			pause(context.Background(), st.For)
		case "place":
			place()
		case "duplicate":
			w.duplicate(participant.FactsTopic(names[st.Part]), st.Slot)
		case "redrive":
			if w.redrive() && st.Slot%2 == 0 {
				w.fix()
			}
		case "rebalance":
			w.log.Rebalance(names[st.Part])
		case "appendLate":
			w.log.AppendLate()
		default:
			w.arm(st)
		}
		synctest.Wait()
	}
	for next < len(s.Orders) {
		place()
	}
	w.heal()
	if w.becomesQuiet() {
		w.checkAll()
		if w.redriveAll() {
			w.checkAll()
			w.refold()
		}
	}
	w.lower()
	w.work.Wait()
}

// keep takes a snapshot of the store, as it is before an apply, for a restore to go back to.
func (w *world) keep() {
	if !w.schedule.has("restore") {
		return
	}
	s := w.redis.snapshot()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.history = append(w.history, s)
}

func (w *world) raise() {
	for part := range participants {
		for slot := range instances {
			w.start(part, slot)
		}
	}
}

// lower stops every instance in order and waits for it.
func (w *world) lower() {
	w.mu.Lock()
	slots := w.slots
	w.mu.Unlock()
	for _, of := range slots {
		for _, in := range of {
			in.stop()
		}
	}
	for _, of := range slots {
		for _, in := range of {
			<-in.done
		}
	}
}

// heal ends everything bad: what is down comes back, what is frozen goes on, and what is on the wire lands.
func (w *world) heal() {
	synctest.Wait()
	pause(context.Background(), time.Second)
	w.mu.Lock()
	w.over, w.armed, w.fates, w.stores = true, nil, nil, nil
	w.mu.Unlock()
	close(w.healed)
	synctest.Wait()
	w.log.AppendLate()
}

// customer places an order and perhaps cancels it, and asks again until there is an answer.
func (w *world) customer(n int) {
	id, p := orderID(n), w.schedule.Orders[n]
	first := event.Event{
		ID: event.MakeID(id, placed), Type: "simulation." + placed, Source: names[order], Subject: id, Time: time.Now(), Sequence: 1,
	}
	first.Data, _ = event.Encode(body(placed, p.Card+" "+strconv.FormatInt(time.Now().Add(payWithin).UnixMilli(), 10)))
	times := 1
	if p.Twice {
		times = 2
	}
	w.mu.Lock()
	w.waiting += times
	w.mu.Unlock()
	for i := range times {
		w.work.Go(func() {
			w.insist(func(d *admission.Control[state]) bool { return w.order(d, first) })
			if i == 0 && p.Poison.How == "garbage" {
				w.garbage(p.Poison.Part, id)
			}
			if p.Cancel > 0 {
				pause(context.Background(), p.Cancel)
				w.insist(func(d *admission.Control[state]) bool { return w.cancel(d, id) })
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			w.waiting--
			w.acked[id] = true
		})
	}
}

// insist asks the door of whichever instance lives, until it has answered.
func (w *world) insist(ask func(*admission.Control[state]) bool) {
	for n := 0; ; n++ {
		w.mu.Lock()
		in := w.slots[order][n%instances]
		w.mu.Unlock()
		if ask(in.door) {
			return
		}
		pause(context.Background(), 50*time.Millisecond)
	}
}

// order is what a service does to place one; it says whether the answer is 202.
func (w *world) order(d *admission.Control[state], first event.Event) bool {
	if d == nil { // no instance is up
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	a, err := d.Admit(ctx, first.Subject, "hash", 2*time.Second)
	switch {
	case err != nil:
		return false
	case a.Folded != nil || a.Published:
		return true
	case !a.New && !a.SameBody:
		w.wrong("%s: the door calls the same request another one", first.Subject)
		return true
	case !a.New:
		return false // in flight
	}
	_, offset, err := d.Publish(ctx, first)
	return err == nil && d.Admitted(ctx, first.Subject, "hash", offset) == nil
}

func (w *world) cancel(d *admission.Control[state], id string) bool {
	if d == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, found, err := d.Find(ctx, id, 2*time.Second)
	if err != nil {
		return false
	}
	if !found {
		w.wrong("%s: a false 404", id)
		return true
	}
	e := event.Event{ID: event.MakeID(id, requested), Type: "simulation." + requested, Source: names[order], Subject: id, Time: time.Now()}
	e.Data, _ = event.Encode(body(requested, ""))
	_, _, err = d.Publish(ctx, e)
	return err == nil
}

// becomesQuiet waits until all is done and stays so.
func (w *world) becomesQuiet() bool {
	until := time.Now().Add(quietWithin)
	for {
		why, size := w.unquiet()
		if why == "" {
			pause(context.Background(), 2500*time.Millisecond)
			if why, again := w.unquiet(); why == "" && again == size {
				return true
			}
		}
		if time.Now().After(until) {
			w.wrong("never quiet: %s", why)
			return false
		}
		pause(context.Background(), 200*time.Millisecond)
	}
}

// unquiet says what is not done yet, and how long all logs are.
func (w *world) unquiet() (why string, size int) {
	w.mu.Lock()
	waiting := w.waiting
	w.mu.Unlock()
	if waiting > 0 {
		return fmt.Sprintf("%d customers wait for their answer", waiting), 0
	}
	store := w.redis.snapshot()
	for part, name := range names {
		size += len(w.log.ReadTopic(participant.DeadLettersTopic(name)))
		size += len(w.log.ReadTopic(participant.FactsTopic(name)))
		committed := w.log.Committed(name)
		for p := range partitions {
			for _, heard := range hears[part] {
				tp := broker.TopicPartition{Topic: participant.FactsTopic(names[heard]), Partition: p}
				if end := int64(len(w.log.Read(tp))); end > 0 && committed[tp] != end {
					return fmt.Sprintf("%s has committed %d of %d in %s/%d", name, committed[tp], end, tp.Topic, p), size
				}
			}
			task := fmt.Sprintf("{%s:%d}:", name, p)
			if outbox, _ := store[task+"outbox"].([]string); len(outbox) > 0 {
				return fmt.Sprintf("%d entries in the outbox of %s/%d", len(outbox), name, p), size
			}
			meta, _ := store[task+"meta"].(map[string]string)
			if meta["fold_version"] == "" {
				return fmt.Sprintf("the store does not know %s/%d", name, p), size
			}
		}
	}
	if why := w.openRequest(); why != "" {
		return why, size
	}
	if why := w.deferred(); why != "" {
		return why, size
	}
	return w.unsettled(), size
}

// deferred names an order that waits for a retry, which nobody asks for.
func (w *world) deferred() string {
	for n, p := range w.schedule.Orders {
		part, id := p.Poison.Part, orderID(n)
		if p.Poison.How == "deferred" && slices.ContainsFunc(w.waitingLetters(part, id), func(l letter) bool {
			return !w.twoDeciders() || !w.answersFor(part, id, l.id)
		}) {
			return id + " waits for a retry of " + names[part]
		}
	}
	return ""
}

// answersFor says whether an event of an order is answered in the log. Where there were two deciders, one may have parked
// it: when its record comes after the answer of the other, nobody retries what it says, and whoever next writes that log
// (a redrive by a person, say) finds it and tells that it was answered.
func (w *world) answersFor(part int, id, cause string) bool {
	return slices.ContainsFunc(w.log.Read(logOf(participant.FactsTopic(names[part]), id)), func(r broker.Record) bool {
		e, err := event.FromRecord(r)
		return err == nil && e.CausationID == cause
	})
}

// refold forgets the store, has fresh instances fold the log, and checks that they come to the same and decide nothing.
func (w *world) refold() {
	w.lower()
	_, size := w.unquiet()
	w.redis.Flush()
	w.raise()
	if !w.becomesQuiet() {
		return
	}
	if _, again := w.unquiet(); again != size {
		w.wrong("%d records were published again after everything was done", again-size)
	}
	w.checkAll()
}
