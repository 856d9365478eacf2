package simulation

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/participant"
	"pgregory.net/rapid"
)

// schedule is what one run does: orders, and steps from which everything else follows. It is plain data, printed when
// it fails.
type schedule struct {
	Orders []plan
	Up     bool // the troupe plays before the first order is placed, so that what strikes at a place strikes at an order's
	Steps  []step
}

// plan is what an order is like.
type plan struct {
	Card   string        // good or bad
	Cancel time.Duration // how long after it is placed its customer cancels it; 0: never
	Twice  bool          // every request is sent twice at once
	Slow   time.Duration // how long the gateway takes, one way
	Poison poison
}

// step is one thing that happens.
type step struct {
	Do    string
	Part  int           // participant
	Slot  int           // its instance
	Place string        // where a fault strikes the instance; empty: now
	Skip  int           // times the place is passed before
	For   time.Duration // how long it lasts
	Back  int           // how many applies a restore goes back, batches of one log a fate befalls, or calls at Wake are passed
	Cut   bool          // a zombie that wakes up has no way to the store
	Wake  string        // the place where another instance wakes a zombie that is frozen for no set time
	Next  []step        // what follows: it waits for its place, or strikes, once this has struck

	sleeper *instance              // that a wake wakes
	log     *broker.TopicPartition // of the first batch that it befell
}

func (s schedule) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "  up before the first order: %v\n", s.Up)
	for i, p := range s.Orders {
		fmt.Fprintf(&b, "  order %d: %+v\n", i, p)
	}
	for _, st := range s.Steps {
		fmt.Fprintf(&b, "  %s\n", st)
	}
	return b.String()
}

func (s step) String() string {
	out := s.Do
	if s.Place != "" {
		out += fmt.Sprintf(" when %s/%d comes to %q, after %d", names[s.Part], s.Slot, s.Place, s.Skip)
	} else if !slices.Contains([]string{"wait", "place"}, s.Do) {
		out += fmt.Sprintf(" %s/%d", names[s.Part], s.Slot)
	}
	out += fmt.Sprintf(" (for %v, back %d)", s.For, s.Back)
	for _, next := range s.Next {
		out += ", then " + next.String()
	}
	return out
}

// mild happens any number of times and changes nothing but the order of things; hard is what a schedule has a few of.
var (
	mild = []string{"wait", "wait", "wait", "wait", "place", "place", "duplicate", "rebalance", "appendLate", "redrive"}
	hard = []string{"kill", "kill", "crash", "zombie", "pause", "expire", "flush", "flush", "lose", "restore", "restore", "upgrade",
		"produceLost", "produceLate", "produceLate", "produceDropped", "produceHeld", "produceCopied",
		"storeDown", "storeAnswerLost", "storeTwice", "brokerDown", "gatewayDown"}
	// meeting is what a store that forgot can meet in one participant: what it decided comes, late or from a sleeper,
	// after all.
	meeting = []string{"kill", "crash", "zombie", "zombie", "expire", "produceLost", "produceLate", "produceLate", "produceHeld",
		"produceDropped", "storeAnswerLost", "gatewayDown"}
	// forgets, onTheWire and leaving are what a decision that is lost and made again is made of.
	forgets   = []string{"flush", "lose", "restore"}
	onTheWire = []string{"produceLate", "produceLate", "produceDropped", "produceDropped", "produceHeld"}
	leaving   = []string{"kill", "crash", "expire", "zombie"}
	// The first ten are where a decision is on its way: decide is an apply with something for the outbox.
	places = []string{"", "", "decide out", "decide back", "apply out", "apply back", "produce out", "produce back",
		"commit out", "commit back",
		"gateway out", "gateway back", "claim back", "reset back", "load back", "fetch back", "ends back"}
	sleepy = []string{"decide out", "decide out", "apply out", "apply back", "produce out", "reset out", "reset out", "claim back"}
	waits  = []time.Duration{0, 2 * time.Millisecond, 20 * time.Millisecond, 300 * time.Millisecond, time.Second, 4 * time.Second}
)

func draw[T any](t *rapid.T, label string, from ...T) T {
	return rapid.SampledFrom(from).Draw(t, label)
}

var anyPlan = rapid.Custom(func(t *rapid.T) plan {
	p := plan{
		Card:   draw(t, "card", "good", "good", "bad"),
		Cancel: draw(t, "cancel", 0, 0, time.Millisecond, 5*time.Millisecond, 500*time.Millisecond, 3*time.Second),
		Twice:  rapid.Bool().Draw(t, "twice"),
		Slow:   draw(t, "slow", latency, latency, 100*time.Millisecond, 6*time.Second),
	}
	if draw(t, "race", false, false, true) { // it is paid and cancelled at once: what is decided hangs on what is read first
		p.Card, p.Slow, p.Cancel = "good", latency, time.Duration(rapid.IntRange(4, 9).Draw(t, "after"))*time.Millisecond
	}
	if draw(t, "deferred", false, false, false, true) {
		p.Poison = draw(t, "defers", poison{payment, placed, "deferred"}, poison{payment, cancelled, "deferred"}, poison{mail, placed, "deferred"},
			poison{mail, confirmed, "deferred"}, poison{mail, cancelled, "deferred"}, poison{order, succeeded, "deferred"})
	} else if draw(t, "poison", false, false, true) {
		p.Poison = draw(t, "poison",
			poison{payment, placed, "permanent"}, poison{payment, placed, "permanent"}, poison{order, succeeded, "permanent"},
			poison{order, requested, "panic"}, poison{payment, cancelled, "panic"}, poison{payment, cancelled, "unknown"},
			poison{mail, placed, "permanent"}, poison{mail, confirmed, "permanent"}, poison{mail, confirmed, "permanent"},
			poison{mail, cancelled, "permanent"}, poison{mail, refunded, "panic"}, poison{order, mailed, "permanent"},
			poison{mail, closed, "permanent"}, poison{order, participant.DeadlinePassed, "permanent"}, poison{payment, placed, "flaky"},
			poison{mail, cancelled, "flaky"}, poison{order, "", "garbage"}, poison{payment, "", "garbage"})
	}
	return p
})

var mildStep = rapid.Custom(func(t *rapid.T) step {
	return step{
		Do: draw(t, "do", mild...), Part: rapid.IntRange(0, participants-1).Draw(t, "part"), Slot: rapid.IntRange(0, 5).Draw(t, "which"),
		For: draw(t, "for", waits...),
	}
})

// aFault draws what befalls a participant, and where.
func aFault(t *rapid.T, part int, what, where []string) step {
	return step{
		Do: draw(t, "do", what...), Part: part, Place: draw(t, "place", where...),
		Slot: rapid.IntRange(0, instances-1).Draw(t, "slot"), Skip: draw(t, "skip", 0, 0, 1, 2, 3, 5),
		For: draw(t, "for", 0, 0, 50*time.Millisecond, 3*time.Second, 12*time.Second), Back: draw(t, "back", 1, 2, 3, 5, 8, 13),
		Wake: draw(t, "wake", "apply back", "apply back", "claim back", "load back"), Cut: rapid.Bool().Draw(t, "cut"),
	}
}

// hardSteps are the faults of a schedule: any; or such as befall one participant at the places where it matters most,
// often at the same one or one after the other, for that is where two things meet that are harmless alone. It is order
// most of all: who hears several topics can decide otherwise the second time.
var hardSteps = rapid.Custom(func(t *rapid.T) []step {
	kind := draw(t, "kind", "any", "any", "forgetful", "forgetful", "adrift", "adrift", "sleepy", "sleepy")
	part := draw(t, "part", order, order, mail, payment)
	n := min(maxFaults(), draw(t, "faults", 0, 1, 1, 2, 2, 2, 2, 3))
	if kind == "adrift" && maxFaults() > 1 {
		return []step{adrift(t, part)}
	}
	var steps []step
	for i := range n {
		of, what, where := part, hard, places
		switch {
		case kind == "any":
			of = rapid.IntRange(0, participants-1).Draw(t, "part")
		case kind == "sleepy":
			what, where = []string{"zombie", "zombie", "upgrade"}, sleepy
		case i == 0:
			what, where = forgets, places[:10]
		default:
			what, where = meeting, places[:10]
		}
		s := aFault(t, of, what, where)
		if kind == "forgetful" && i > 0 && rapid.Bool().Draw(t, "together") {
			s.Place, s.Skip = steps[0].Place, steps[0].Skip
		}
		steps = append(steps, s)
	}
	return steps
})

// adrift is a batch that does not arrive, or not in time, and a store that forgets what was in it: at once, or when
// who sent it is gone and its heir goes on.
func adrift(t *rapid.T, part int) step {
	s := aFault(t, part, onTheWire, places[:1])
	s.Skip, s.Back = draw(t, "befalls", 0, 0, 1, 2), draw(t, "batches", 2, 3, 5, 8, 13)
	next := aFault(t, part, forgets, places[:10])
	next.Skip = draw(t, "then", 0, 0, 1, 2)
	if rapid.Bool().Draw(t, "heir") {
		dies := aFault(t, part, leaving, []string{"produce back"})
		dies.Skip, dies.Next = 0, []step{next}
		next = dies
	}
	s.Next = []step{next}
	return s
}

// maxFaults is how many hard steps a schedule has at most: alone and in pairs, and a produce on the wire beside them.
func maxFaults() int {
	if n, err := strconv.Atoi(os.Getenv("SIM_FAULTS")); err == nil {
		return n
	}
	return 2
}

var anySchedule = rapid.Custom(func(t *rapid.T) schedule {
	s := schedule{
		Up:     draw(t, "up", true, true, false),
		Orders: rapid.SliceOfN(anyPlan, 1, 3).Draw(t, "orders"),
		Steps:  rapid.SliceOfN(mildStep, 1, 10).Draw(t, "steps"),
	}
	for _, h := range hardSteps.Draw(t, "hard") {
		at := draw(t, "at", 0, rapid.IntRange(0, len(s.Steps)).Draw(t, "later")) // half of them as soon as the first order is placed
		s.Steps = slices.Insert(s.Steps, at, h)
	}
	return s
})

// has says whether the schedule does one of these.
func (s schedule) has(what ...string) bool {
	return slices.ContainsFunc(s.Steps, func(st step) bool { return st.does(what) })
}

func (s step) does(what []string) bool {
	return slices.Contains(what, s.Do) || slices.ContainsFunc(s.Next, func(next step) bool { return next.does(what) })
}
