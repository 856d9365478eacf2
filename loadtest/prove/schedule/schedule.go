// Package schedule says which faults strike when: a pure function of a seed.
package schedule

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Class of a fault: what is done.
type Class string

// Classes. Those with a service as their target strike every service; the others, what the services stand on.
const (
	Crash   Class = "crash"            // kill -9 while a call is held at a crash point
	Kill    Class = "kill"             // kill -9 at any moment, of all instances of a service at once
	Pause   Class = "pause"            // SIGSTOP until the group has given the partitions away, and on; then SIGCONT
	Rolling Class = "rolling-restart"  // SIGTERM, one instance after the other
	Leave   Class = "leave-and-join"   // an instance leaves, and comes back
	Pair    Class = "pair"             // two faults within a second
	Redrive Class = "redrive"          // a parked letter is redriven, and discarded
	Broker  Class = "broker-restart"   // kill -9; its log stays
	Leader  Class = "leader-move"      // all partitions move to other brokers
	Produce Class = "produce-error"    // the broker refuses appends
	Slow    Class = "produce-delay"    // appends take long
	Answer  Class = "answer-lost"      // appended, and the connection ends
	Late    Class = "late-append"      // the connection ends; appended much later, after what was sent again
	Fetch   Class = "fetch-error"      // the broker refuses fetches
	Lag     Class = "fetch-delay"      // fetches take long
	Flush   Class = "redis-flush"      // FLUSHALL
	Empty   Class = "redis-restart"    // kill -9; it comes back empty
	Away    Class = "redis-outage"     // it is away for a while, and comes back empty
	Restore Class = "redis-restore"    // an older snapshot takes the place of what is there
	Lossy   Class = "redis-lossy"      // some of its keys are deleted, drawn by chance
	Full    Class = "redis-full"       // maxmemory is below what it uses: it refuses to write
	Silent  Class = "redis-silent"     // SIGSTOP for a while: connections stay, and nobody is answered
	Skew    Class = "clock-skew"       // its clock is ahead of all others for a while
	Outage  Class = "gateway-outage"   // 503 to everything
	Delay   Class = "gateway-slow"     // every answer takes long
	Flap    Class = "gateway-flapping" // outages that come and go
	Unsure  Class = "gateway-unsure"   // answers are lost after the deed
	Reborn  Class = "gateway-restart"  // kill -9; its ledger stays
	Ours    Class = "gateway-refusing" // 400 about a parameter that no customer chose
	Pending Class = "gateway-pending"  // refunds stay pending for a while
	NoMail  Class = "mail-outage"      // connections are cut
	MailLag Class = "mail-slow"        // every mail takes long
	PutOff  Class = "mail-deferring"   // 450 to some recipients
	Copies  Class = "copies"           // old records are appended again
	Poison  Class = "poison"           // garbage is appended
	Rebuild Class = "rebuild"          // the read model is folded again beside the live one, and swapped in
	Outsize Class = "oversize"         // records are appended that are larger, once they are read, than what may be written
	Anew    Class = "topics-anew"      // at the end: all topics are deleted and created again, Redis stays; customers come while they are away
)

// Fault is one thing done to the system from outside.
type Fault struct {
	// At is when, after the load has begun; later when what came before it in its Lane is not over.
	At   time.Duration
	Lane string
	Class
	// Target is a service or an instance of one; empty where the class says it.
	Target string
	// Point of a Crash.
	Point string
	// Length is how long it lasts, where it lasts.
	Length time.Duration
	// Seed of what is drawn while it lasts.
	Seed uint64
	// Parts of a Pair; At of the second counts from the first.
	Parts []Fault
}

// Key is what must have happened at least once for the run to prove something about it.
func (f Fault) Key() string {
	switch f.Class {
	case Crash:
		return "crash:" + f.Point + ":" + f.service()
	case Pair:
		return "pair:" + string(f.Parts[0].Class) + "+" + string(f.Parts[1].Class)
	}
	return string(f.Class)
}

func (f Fault) service() string {
	service, _, _ := strings.Cut(f.Target, "-")
	return service
}

func (f Fault) String() string {
	s := fmt.Sprintf("%6.1fs %-12s %s", f.At.Seconds(), f.Lane, f.name())
	return strings.TrimRight(s, " ")
}

func (f Fault) name() string {
	s := string(f.Class)
	if f.Class == Pair {
		return fmt.Sprintf("%s of %s, and after %dms %s", s, f.Parts[0].name(), f.Parts[1].At.Milliseconds(), f.Parts[1].name())
	}
	for _, more := range []string{f.Target, f.Point} {
		if more != "" {
			s += " " + more
		}
	}
	if f.Length > 0 {
		s += " for " + f.Length.String()
	}
	return s
}

// Point is a place in a service's cycle where it can be made to die.
type Point struct {
	Name     string
	Services []string
}

// Plan says what there is to break.
type Plan struct {
	Services []string
	// Writers are those of them that publish facts.
	Writers []string
	// Instances of each service.
	Instances int
	Points    []Point
	// Only these classes, when there are any. One may be like crash:after-apply.
	Only []string
	// Without are classes that cannot be made to happen here.
	Without []Class
	// Session is the silence after which a group gives an instance's partitions away.
	Session time.Duration
	// Rounds of everything, at least 1.
	Rounds int
}

// slot is the time that one fault in a lane gets before the next begins: about what a service takes to be whole again.
const slot = 3 * time.Second

// stores is the lane of what strikes what the services stand on.
const stores = "stores"

// Make returns the faults in the order of their times: all of the plan in every round, in an order and at moments drawn from the seed; and at
// the end Anew, which needs what was before it to be at rest.
func (p Plan) Make(seed uint64) []Fault {
	d := &drawing{Plan: p, Rand: rand.New(rand.NewPCG(seed, 0))}
	var all []Fault
	var begin time.Duration
	for range max(1, p.Rounds) {
		round := begin
		for lane, faults := range d.lanes() {
			faults = slices.DeleteFunc(faults, func(f Fault) bool { return !p.wanted(f) })
			d.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
			at := begin
			for _, f := range faults {
				f.Lane, f.At, f.Seed = append([]string{stores}, p.Services...)[lane], at+d.between(0, slot/3), d.Uint64()
				all = append(all, f)
				at += max(slot, f.Length+slot/2)
			}
			round = max(round, at)
		}
		begin = round
	}
	if anew := (Fault{Class: Anew, Lane: stores, Seed: d.Uint64()}); p.wanted(anew) {
		anew.At = begin
		all = append(all, anew)
	}
	slices.SortStableFunc(all, func(a, b Fault) int { return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Lane, b.Lane)) })
	return all
}

// End is when the last fault should be over.
func End(faults []Fault) time.Duration {
	var end time.Duration
	for _, f := range faults {
		end = max(end, f.At+max(slot, f.Length))
	}
	return end
}

func (p Plan) wanted(f Fault) bool {
	if slices.Contains(p.Without, f.Class) || slices.ContainsFunc(f.Parts, func(part Fault) bool { return !p.able(part) }) {
		return false
	}
	if len(p.Only) == 0 {
		return true
	}
	return slices.ContainsFunc(p.Only, func(only string) bool {
		return only == string(f.Class) || strings.HasPrefix(f.Key()+":", only+":")
	})
}

func (p Plan) able(f Fault) bool { return !slices.Contains(p.Without, f.Class) }

// drawing is a plan with its source of chance.
type drawing struct {
	Plan
	*rand.Rand
}

func (d *drawing) between(least, most time.Duration) time.Duration {
	return (least + time.Duration(d.Int64N(int64(most-least)+1))).Round(time.Millisecond)
}

func (d *drawing) instance(service string) string {
	if n := d.IntN(d.Instances); n > 0 {
		return fmt.Sprintf("%s-%d", service, n+1)
	}
	return service
}
