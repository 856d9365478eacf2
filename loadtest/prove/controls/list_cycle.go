package main

import "github.com/troupe-dev/troupe/schemas/check"

const (
	nothingLost  = "nothing is lost"
	nothingTwice = "nothing happens twice"
	inOrder      = "nothing is out of order"
	disposable   = "Redis is disposable"
	oneOrder     = "a bad event stops one order"
	readRight    = "the read model is the log's"
	toldRight    = "a customer hears of a decline only where a card was declined"
	ownPages     = "no page of another site gets in"
)

// positions: what may be forgotten by the group, and where reading begins.
var positions = []Control{
	{
		ID: "commit-before-apply", Without: "an offset is committed as soon as it is read", Breaks: nothingLost,
		Schedules: 2,
		Proof:     Proof{diesAtWork(true), []check.Guarantee{check.Stuck}},
		Edits: []Edit{{"pkg/participant/source.go", `	if len(s.window) > 0 {
		return s.window[0].offset`, `	if false {
		return s.window[0].offset`}},
	},
	{
		ID: "mark-before-work", Without: "an event is marked as seen before it is answered", Breaks: nothingLost,
		Schedules: 3,
		Proof:     Proof{diesAtWork(false), []check.Guarantee{check.Stuck}},
		Edits: []Edit{{"pkg/participant/react.go", `	o.queue.running = d
`, `	o.queue.running = d
	o.Answered(d.ev.ID)
	t.touch(o)
`}},
	},
	{
		ID: "position-past-a-held-event", Without: "the position does not wait for a held event", Breaks: nothingLost,
		Schedules: 107,
		Proof:     Proof{heldAndDead, []check.Guarantee{check.Lost}},
		Edits:     []Edit{{"pkg/participant/source.go", `if at.d != nil && !at.d.ready {`, `if at.d != nil && !at.d.ready && at.d.failed == nil {`}},
	},
	{
		ID: "position-past-what-is-not-applied", Without: "the position is where reading goes on", Breaks: nothingLost,
		Schedules: 4,
		Unproven:  bySimulation,
		Edits:     []Edit{{"pkg/participant/source.go", `if at.d != nil && !at.d.ready {`, `if false {`}},
	},
	{
		ID: "commit-past-the-outbox", Without: "an offset is committed while its order waits in the outbox", Breaks: nothingLost,
		Schedules: 56,
		Proof:     Proof{diesWithAnOutbox, []check.Guarantee{check.Stuck}},
		Edits:     []Edit{{"pkg/participant/source.go", `s.window[n].d == nil && s.window[n].entry <= settled`, `s.window[n].d == nil`}},
	},
	{
		ID: "commit-past-an-inherited-outbox", Without: "offsets are committed before an outbox found in the store is in Kafka", Breaks: nothingLost,
		Schedules: 185,
		Unproven:  bySimulation,
		Edits:     []Edit{{"pkg/participant/handler.go", `if t.outbox.Inherited() {`, `if false {`}},
	},
	{
		ID: "larger-of-the-two-positions", Without: "reading begins at the larger of the store's and the group's position", Breaks: disposable,
		Schedules: 416,
		Proof:     Proof{readModelRestored, []check.Guarantee{check.ReadModel}},
		Edits: []Edit{
			{"pkg/task/takeover.go", `		in.Cursor = at
`, `		in.Cursor = max(at, in.committed)
`},
		},
	},
}

// storeChecks: the compare-and-swap.
var storeChecks = []Control{
	{
		ID: "no-owner-check", Without: "a change is applied for whoever asks", Breaks: nothingTwice,
		Schedules: 767,
		Proof:     Proof{decidesInItsSleep, []check.Guarantee{check.Lost}},
		Edits: []Edit{
			{"pkg/taskstore/change.go", `if m[1] ~= ARGV[1] then return 2 end`, ``},
			{"pkg/taskstore/change.go", `case owner != c.Owner:`, `case false:`},
			{"pkg/taskstore/reset.go", `var unfold = redis.NewScript(` + "`" + `
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 2 end`, `var unfold = redis.NewScript(` + "`"},
			{"pkg/taskstore/reset.go", `var remove = redis.NewScript(` + "`" + `
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 2 end`, `var remove = redis.NewScript(` + "`"},
			{"pkg/taskstore/reset.go", `var whole = redis.NewScript(` + "`" + `
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end`, `var whole = redis.NewScript(` + "`"},
		},
	},
	{
		ID: "no-seq-check", Without: "a change is applied to whatever the store has gone back to", Breaks: disposable,
		Schedules: 8,
		Proof:     Proof{restoredUnnoticed, []check.Guarantee{check.ReadModel}},
		Edits: []Edit{
			{"pkg/taskstore/change.go", `if m[2] ~= ARGV[2] then
`, `if false then
`},
			{"pkg/taskstore/change.go", `case seq != strconv.FormatInt(c.Seq, 10):`, `case seq == "none":`},
		},
	},
	{
		ID: "no-witness", Without: "nobody counts the keys of a task", Breaks: disposable,
		Unseen: "not counted: a schedule loses one key of all, and seldom the orders of a task that goes on",
		Proof:  Proof{partlyWiped, []check.Guarantee{check.Lost, check.Stuck, check.Choreography}},
		Edits: []Edit{
			{"pkg/taskstore/change.go", `if witness > 0 and call(`, `if false and call(`},
			{"pkg/taskstore/change.go", `case there != nil &&`, `case false &&`},
			{"pkg/participant/admission/fold.go", `local whole = meta[5] == ARGV[8] and`, `local whole = true or`},
		},
	},
	{
		ID: "no-compare-while-idle", Without: "an idle task does not ask the store whether it is still the same", Breaks: disposable,
		Schedules: 2,
		Proof:     Proof{wipedWhileIdle, []check.Guarantee{check.Stuck}},
		Edits: []Edit{{"pkg/taskstore/change.go", `		switch {
		case owner ==`, `		switch {
		case true:
		case owner ==`}},
	},
	{
		ID: "publish-before-apply", Without: "a fact leaves before the store has it", Breaks: nothingTwice,
		Schedules: 130,
		Proof:     Proof{sleepsBeforeApply, []check.Guarantee{check.Choreography}},
		Edits: []Edit{
			{"pkg/task/loop.go", `		e.apply()
		e.h.Publish()
		e.commit()
`, `		e.h.Publish()
		e.apply()
		e.commit()
`},
			{"pkg/participant/internal/outbox/outbox.go", `if e.number > o.stored {`, `if false {`},
		},
	},
}

// chains: made ids, and the log as referee.
var chains = []Control{
	{
		ID: "no-seen-check", Without: "an event that was answered is answered again", Breaks: nothingTwice,
		Schedules: 3,
		Proof:     Proof{deliveredAgain, []check.Guarantee{check.MailedTwice}},
		// The domains know it too, by their state: what notification knows is taken away beside it.
		Edits: []Edit{
			{"pkg/participant/order.go", `o.Saw(e.ID) || o.Waits(e.ID))`, `o.Waits(e.ID))`},
			{"services/notification/internal/domain/notices.go", `	case told:
`, `	case told && carried == "":
`},
		},
	},
	{
		ID: "no-chain-check", Without: "a fact that is not the next of its order counts", Breaks: inOrder,
		Schedules: 604,
		Proof:     Proof{lateDecision, []check.Guarantee{check.MailedTwice}},
		Edits:     []Edit{{"pkg/participant/order.go", `o.Head(topic).Judge(`, `chain.Head{}.Judge(`}},
	},
	{
		ID: "random-event-ids", Without: "what is made twice from the same has two ids", Breaks: nothingTwice,
		Schedules: 2530,
		Proof:     Proof{everyday, []check.Guarantee{check.Choreography}},
		Edits: []Edit{{"pkg/event/event.go", `	return id.String()
`, `	return uuid.NewString()
`}},
	},
}

// publishing: from the outbox into the log.
var publishing = []Control{
	{
		ID: "outbox-is-not-drained", Without: "what an earlier owner decided is taken for published", Breaks: nothingLost,
		Schedules: 12,
		Unproven:  bySimulation,
		Edits: []Edit{{"pkg/participant/internal/outbox/outbox.go", `		o.Add(e)
	}
`, `		e.Acked = true
		o.Add(e)
	}
`}},
	},
	{
		ID: "letters-beside-facts", Without: "a letter does not wait for the facts of its order before it", Breaks: oneOrder,
		Unseen: "not within 3,000: the store must forget between a letter and the fact before it",
		Proof:  Proof{letterOvertakes, []check.Guarantee{check.UnexplainedLetter}},
		Edits:  []Edit{{"pkg/participant/internal/outbox/outbox.go", `|| o.waitsForOther(e) {`, `{`}},
	},
	{
		ID: "round-robin-partitions", Without: "a door spreads the events of one order over the partitions", Breaks: inOrder,
		Schedules: 1,
		Proof:     Proof{everyday, []check.Guarantee{check.Misordered}},
		Edits: []Edit{{"pkg/participant/admission/admission.go", `	p := broker.Partition([]byte(e.Subject), c.cfg.Partitions)
	ctx, ended`, `	p := int(time.Now().UnixNano()/1000) % c.cfg.Partitions
	ctx, ended`}},
	},
	{
		// The broker client itself cannot ask for none: a task lives on the offset that the answer tells.
		ID: "acks-none", Without: "a door answers before the broker has", Breaks: nothingLost,
		Schedules: 26,
		Proof:     Proof{answeredAndDead, []check.Guarantee{check.Lost}},
		Edits: []Edit{
			{"pkg/participant/admission/append.go", `	apart := false
`, `	for _, r := range rs {
		close(r.done)
	}
	apart := false
`},
			{"pkg/participant/admission/append.go", `			close(r.done)
		}
	})`, `		}
	})`},
		},
	},
}
