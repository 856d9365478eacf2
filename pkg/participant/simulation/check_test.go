package simulation

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/chain"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/participant"
	"github.com/troupe-dev/troupe/pkg/participant/internal/orders/orderstest"
)

// story is what one topic says about one order, read from the log's start as the protocol says to read it: the first
// fact that is the next of its order is valid, whatever else claims its place is not.
type story struct {
	valid  []event.Message
	accept []int64          // offsets of everything that counts: valid facts, first copies of requests, records that cannot be read
	offset map[string]int64 // of the first valid copy, by id; requests too
	void   []string
}

func (w *world) story(part int, id string) story {
	s := story{offset: map[string]int64{}}
	for _, r := range w.log.Read(logOf(participant.FactsTopic(names[part]), id)) {
		if string(r.Key) != id {
			continue
		}
		e, err := event.FromRecord(r)
		n := uint64(len(s.valid))
		at, known := s.offset[e.ID]
		switch {
		case err != nil:
			s.accept = append(s.accept, r.Offset)
		case e.Sequence == 0:
			if !known {
				s.offset[e.ID] = r.Offset
				s.accept = append(s.accept, r.Offset)
			}
		case e.Sequence == n+1 && (n == 0 || e.PreviousID == s.valid[n-1].ID):
			m, err := event.Decode(e)
			if err != nil {
				w.wrong("%s: %v", r.Topic, err)
			}
			s.valid = append(s.valid, m)
			s.offset[e.ID] = r.Offset
			s.accept = append(s.accept, r.Offset)
		case !known || e.Sequence > n || s.valid[e.Sequence-1].ID != e.ID:
			s.void = append(s.void, fmt.Sprintf("%s %d (first at %d)", e.Type, e.Sequence, at))
		}
	}
	return s
}

func (s story) find(kind string) (event.Message, bool) {
	for _, m := range s.valid {
		if kindOf(m.Event) == kind {
			return m, true
		}
	}
	return event.Message{}, false
}

func (s story) has(kind string) bool { _, ok := s.find(kind); return ok }

func (s story) kinds() []string {
	out := []string{}
	for _, m := range s.valid {
		out = append(out, kindOf(m.Event))
	}
	return out
}

// letter is one dead letter, read from the log.
type letter struct {
	id, topic, class string
	from             int64 // offset it was read from
	at               int64 // its own, in the dead-letter topic
	parked           time.Time
}

// letters are the distinct ones of an order, in order of the log.
func (w *world) letters(part int, id string) []letter {
	var out []letter
	for _, r := range w.log.Read(logOf(participant.DeadLettersTopic(names[part]), id)) {
		if string(r.Key) != id || !isLetter(r) {
			continue
		}
		l := letter{from: -1, at: r.Offset}
		for key, value := range r.Headers.All() {
			v := string(value)
			switch key {
			case "__dlq.id":
				l.id = v
			case "__dlq.errors.topic":
				l.topic = v
			case "__dlq.errors.offset":
				l.from, _ = strconv.ParseInt(v, 10, 64)
			case "__dlq.errors.class":
				l.class = v
			case "__dlq.errors.last.failure":
				l.parked, _ = time.Parse(time.RFC3339Nano, v)
			}
		}
		if !slices.ContainsFunc(out, func(o letter) bool { return o.id == l.id }) {
			out = append(out, l)
		}
	}
	return out
}

func isLetter(r broker.Record) bool {
	n, err := deadletter.Parse(r)
	return err == nil && n.Kind == deadletter.Letter
}

// unsettled names an order that is neither settled nor parked.
func (w *world) unsettled() string {
	for n := range w.schedule.Orders {
		id := orderID(n)
		if len(w.waitingLetters(order, id)) > 0 {
			continue
		}
		o, p := w.story(order, id), w.story(payment, id)
		switch {
		case (o.has(confirmed) || o.has(cancelled)) && len(w.waitingLetters(payment, id)) > 0: // the deadline sees to it
		case o.has(cancelled) && p.has(declined), o.has(closed):
		case o.has(cancelled) && p.has(refunded) && len(w.waitingLetters(mail, id)) > 0: // nobody will say that it was told
		case o.has(confirmed) && !o.has(cancelled) && p.has(succeeded):
		default:
			return fmt.Sprintf("%s is not settled: order %v, payment %v", id, o.kinds(), p.kinds())
		}
	}
	return ""
}

// checkAll reads the whole log, the store and the gateway's ledger and holds them against the promises.
func (w *world) checkAll() {
	store := w.redis.snapshot()
	for n, plan := range w.schedule.Orders {
		id := orderID(n)
		stories := [participants]story{}
		for part := range participants {
			stories[part] = w.story(part, id)
		}
		for part := range participants {
			w.checkChain(part, id, stories)
			known := stories
			known[part] = read(part, id, stories[part], store)
			w.checkLetters(part, id, plan, known)
			w.checkFold(part, id, known[part], store)
		}
		w.checkMoney(id, stories)
		w.checkMails(id, stories)
	}
}

// position is how far a task has read a topic of its own: what lands after all that it wrote, it learns of when it
// writes again or is taken over.
func position(part int, id, topic string, store map[string]any) int64 {
	meta, _ := store[fmt.Sprintf("{%s:%d}:meta", names[part], broker.Partition([]byte(id), partitions))].(map[string]string)
	n, _ := strconv.ParseInt(meta["own:"+topic], 10, 64)
	return n
}

// read is a participant's story as far as it has read it itself.
func read(part int, id string, s story, store map[string]any) story {
	end := position(part, id, participant.FactsTopic(names[part]), store)
	if n := slices.IndexFunc(s.valid, func(m event.Message) bool { return s.offset[m.ID] >= end }); n >= 0 {
		s.valid = s.valid[:n]
	}
	return s
}

// twoDeciders says whether the store may have forgotten a decision, so that it was made again otherwise: it was wiped,
// lost a part, or was taken back, or a new release emptied it while what it held was on its way from another instance.
func (w *world) twoDeciders() bool {
	return w.schedule.has("flush", "lose", "restore") || w.schedule.has("upgrade") && w.schedule.has("zombie", "produceLate", "produceHeld")
}

// checkChain: one valid fact per cause, causes valid and in their order, nothing before its cause, nothing void for no
// reason.
func (w *world) checkChain(part int, id string, stories [participants]story) {
	s := stories[part]
	if len(s.void) > 0 && !w.twoDeciders() {
		w.wrong("%s of %s: void facts with one decider: %v", names[part], id, s.void)
	}
	answered := map[string]bool{}
	last := map[int]int64{}
	for _, m := range s.valid {
		if m.CausationID == "" {
			continue // a door's
		}
		if answered[m.CausationID] {
			w.wrong("%s of %s: two valid facts answer %s", names[part], id, m.CausationID)
		}
		answered[m.CausationID] = true
		found := strings.HasPrefix(text(m), participant.DeadlinePassed)
		for _, heard := range hears[part] {
			at, ok := stories[heard].offset[m.CausationID]
			if !ok {
				continue
			}
			found = true
			if at < last[heard] {
				w.wrong("%s of %s: %s answers an event that lies before one answered already", names[part], id, kindOf(m.Event))
			}
			last[heard] = at
			if i := slices.IndexFunc(stories[heard].valid, func(c event.Message) bool { return c.ID == m.CausationID }); i >= 0 {
				if cause := stories[heard].valid[i]; m.Time.Before(cause.Time) {
					w.wrong("%s of %s: %s was decided before its cause", names[part], id, kindOf(m.Event))
				}
			}
		}
		if !found {
			w.wrong("%s of %s: %s answers what is not valid: %s", names[part], id, kindOf(m.Event), m.CausationID)
		}
	}
}

// checkLetters: only what is poisoned is parked, with its reason, and all that comes behind it, in order; nothing
// behind it is answered.
func (w *world) checkLetters(part int, id string, p plan, stories [participants]story) {
	letters, reasons := w.letters(part, id), w.reasons(part, id, p)
	if len(letters) == 0 || w.requests > 0 || w.fixed { // what was asked to come back is answered after all
		return
	}
	if first := letters[0]; !slices.Contains(reasons, first.class) {
		w.wrong("%s of %s: parked for no reason: %+v", names[part], id, letters)
		return
	}
	if slices.Contains(reasons, "deferred") { // it has come back by itself, and all that was behind it
		return
	}
	letters = w.withoutRepeats(part, letters, stories)
	from := map[string]int64{}
	for i, l := range letters {
		if i > 0 && l.class != "behind" && p.Poison.How != "garbage" { // a copy of garbage is garbage again
			w.wrong("%s of %s: a letter of class %s behind another", names[part], id, l.class)
		}
		if first, ok := from[l.topic]; ok && l.from < first {
			w.wrong("%s of %s: letters of %s out of order", names[part], id, l.topic)
		}
		from[l.topic] = l.from
	}
	w.checkBehind(part, id, letters, stories)
}

// withoutRepeats leaves out letters that say nothing about order: their events were answered with nothing, which
// leaves no trace; delivered again when the store has forgotten it, or a new release folds it anew, they wait behind
// what came after them, for nothing.
func (w *world) withoutRepeats(part int, letters []letter, stories [participants]story) []letter {
	if !w.schedule.has("flush", "lose", "restore", "upgrade") {
		return letters
	}
	began := map[string]int64{}
	for _, l := range letters {
		if _, ok := began[l.topic]; !ok {
			began[l.topic] = l.from
		}
	}
	first := func(l letter) int64 { // a second copy is delivered for the first one
		for _, heard := range hears[part] {
			if at, ok := stories[heard].offset[l.id]; ok && l.topic == participant.FactsTopic(names[heard]) {
				return min(l.from, at)
			}
		}
		return l.from
	}
	return slices.DeleteFunc(slices.Clone(letters), func(l letter) bool {
		return first(l) < began[l.topic] && !w.overtaken(part, l, stories) || l.class == "behind" && w.answeredBefore(part, l, stories)
	})
}

// overtaken says whether a letter's event is the order's first, which payment and mail always answer with a fact, and
// that fact is nowhere: then letters left before it did.
func (w *world) overtaken(part int, l letter, stories [participants]story) bool {
	first, ok := stories[order].find(placed)
	return ok && part != order && l.id == first.ID && len(stories[part].valid) == 0
}

// answeredBefore says whether an event that lies after a letter's in its topic was answered before the letter was
// parked.
func (w *world) answeredBefore(part int, l letter, stories [participants]story) bool {
	for _, heard := range hears[part] {
		if l.topic != participant.FactsTopic(names[heard]) {
			continue
		}
		for _, m := range stories[part].valid {
			if at, ok := stories[heard].offset[m.CausationID]; ok && at > l.from && m.Time.Before(l.parked) {
				return true
			}
		}
	}
	return false
}

// reasons are the classes of which a participant's first letter of an order may be; none: nothing may be parked.
func (w *world) reasons(part int, id string, p plan) []string {
	var classes []string
	switch {
	case p.Poison.How == "garbage" && slices.Contains(hears[part], p.Poison.Part):
		classes = append(classes, "permanent")
	case p.Poison.Part != part:
	case p.Poison.How == "unknown":
		classes = append(classes, "transient")
	case p.Poison.How == "deferred":
		classes = append(classes, "deferred")
	case p.Poison.How == "permanent", p.Poison.How == "panic":
		classes = append(classes, "permanent")
	}
	if part == mail && len(w.letters(order, id)) > 0 { // it waits for what order will never say
		classes = append(classes, "not_yet")
	}
	return classes
}

func (w *world) checkBehind(part int, id string, letters []letter, stories [participants]story) {
	for _, m := range stories[part].valid {
		if slices.ContainsFunc(letters, func(l letter) bool { return l.id == m.CausationID }) && !w.twoDeciders() {
			w.wrong("%s of %s: %s is parked and answered", names[part], id, m.CausationID)
		}
		if m.CausationID != "" && m.Time.After(letters[0].parked) && !w.twoDeciders() {
			w.wrong("%s of %s: %s was decided after the order was parked", names[part], id, kindOf(m.Event))
		}
	}
	for _, heard := range hears[part] {
		topic := participant.FactsTopic(names[heard])
		i := slices.IndexFunc(letters, func(l letter) bool { return l.topic == topic })
		if i < 0 {
			continue
		}
		for _, m := range stories[part].valid {
			if at, ok := stories[heard].offset[m.CausationID]; ok && at > letters[i].from {
				w.wrong("%s of %s: %s answers what lies behind a letter", names[part], id, kindOf(m.Event))
			}
		}
		for _, at := range stories[heard].accept {
			if at <= letters[i].from || part == heard && w.ownFact(part, id, at) {
				continue
			}
			if !slices.ContainsFunc(letters, func(l letter) bool { return l.topic == topic && w.same(topic, id, l.from, at) }) {
				w.wrong("%s of %s: %s@%d lies behind a letter and is not parked", names[part], id, topic, at)
			}
		}
	}
}

// ownFact says whether a record is a fact that the participant decided itself.
func (w *world) ownFact(part int, id string, at int64) bool {
	e, err := event.FromRecord(w.log.Read(logOf(participant.FactsTopic(names[part]), id))[at])
	return err == nil && e.CausationID != ""
}

// same says whether two records of a topic are copies of one event.
func (w *world) same(topic, id string, a, b int64) bool {
	records := w.log.Read(logOf(topic, id))
	one, err1 := event.FromRecord(records[a])
	two, err2 := event.FromRecord(records[b])
	return a == b || err1 == nil && err2 == nil && one.ID == two.ID
}

// checkFold: what the store keeps of an order is the fold of its log.
func (w *world) checkFold(part int, id string, s story, store map[string]any) {
	task := fmt.Sprintf("{%s:%d}:", names[part], broker.Partition([]byte(id), partitions))
	hashes := map[string]map[string]string{}
	for name, v := range store {
		if orders, ok := v.(map[string]string); ok && strings.HasPrefix(name, task) {
			hashes[strings.TrimPrefix(name, task)] = orders
		}
	}
	_, kept := orderstest.Find(id, hashes)
	var want, folded state
	var own chain.Head
	for i, m := range s.valid {
		want = evolve(w.version[part])(want, m)
		own = chain.Head{Sequence: uint64(i + 1), ID: m.ID}
	}
	_ = json.Unmarshal([]byte(kept.State), &folded) // unreadable is unequal
	if len(s.valid) > 0 && !reflect.DeepEqual(folded, want) {
		w.wrong("%s of %s: the store has the state %+v, the log %+v", names[part], id, folded, want)
	}
	if kept.Own() != own {
		w.wrong("%s of %s: the store has the head %v, the log %v", names[part], id, kept.Own(), own)
	}
	end := position(part, id, participant.DeadLettersTopic(names[part]), store)
	var parked []string
	for _, l := range w.waitingLetters(part, id) {
		if l.at < end && !slices.ContainsFunc(s.valid, func(m event.Message) bool { return m.CausationID == l.id }) {
			parked = append(parked, l.id)
		}
	}
	var got []string
	for _, l := range kept.Parked {
		got = append(got, l.ID)
	}
	if w.twoDeciders() { // each parked what came to it, as it came: their order in the log is checkLetters' matter
		slices.Sort(got)
		slices.Sort(parked)
	}
	if !slices.Equal(got, parked) {
		w.wrong("%s of %s: the store has %v parked, the log %v", names[part], id, got, parked)
	}
	letters, _ := store[task+"parked:"+id].(map[string]string)
	if len(letters) > len(parked) || len(letters) < len(parked) && !w.schedule.has("lose") { // one that is lost alone is missed when it is opened
		w.wrong("%s of %s: the store has %d letters, the log %d", names[part], id, len(letters), len(parked))
	}
	timers, _ := store[task+"timers"].(map[string]float64)
	if _, armed := timers[id]; armed && (want.Status != placed || part != order) {
		w.wrong("%s of %s: a deadline is armed in state %s", names[part], id, want.Status)
	}
}

// checkMoney: at most one charge and one refund, each told in the log, and money is kept for a confirmed order only.
func (w *world) checkMoney(id string, stories [participants]story) {
	w.gateway.mu.Lock()
	defer w.gateway.mu.Unlock()
	charges, refunds := 0, 0
	for _, i := range w.gateway.intents {
		if i.order == id && i.paid {
			charges++
		}
	}
	o, p := stories[order], stories[payment]
	for key, of := range w.gateway.refunds {
		if of != id {
			continue
		}
		refunds++
		if m, ok := o.find(cancelled); !ok || m.ID != key {
			w.wrong("%s: refunded for %s, which is no valid cancellation", id, key)
		}
	}
	parked := len(w.waitingLetters(payment, id)) > 0
	if charges > 1 || refunds > charges {
		w.wrong("%s: %d charges, %d refunds", id, charges, refunds)
	}
	if p.has(succeeded) && charges == 0 || charges > 0 && !p.has(succeeded) && !parked {
		w.wrong("%s: %d charges, and payment says %v", id, charges, p.kinds())
	}
	if p.has(refunded) && refunds == 0 || refunds > 0 && !p.has(refunded) && !parked {
		w.wrong("%s: %d refunds, and payment says %v", id, refunds, p.kinds())
	}
}

// checkMails: one mail about everything there was to tell.
func (w *world) checkMails(id string, stories [participants]story) {
	if len(w.waitingLetters(mail, id)) > 0 {
		return
	}
	want := map[string]int{}
	for _, s := range stories[:mail] {
		for _, m := range s.valid {
			if k := kindOf(m.Event); k == confirmed || k == cancelled || k == succeeded || k == refunded || k == closed {
				want[k]++
			}
		}
	}
	got := map[string]int{}
	for _, m := range stories[mail].valid {
		if kindOf(m.Event) == mailed {
			got[text(m)]++
		}
	}
	if !maps.Equal(got, want) {
		w.wrong("%s: mails %v, want %v", id, got, want)
	}
}
