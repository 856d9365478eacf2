package schedule

import (
	"slices"
	"time"
)

// lanes returns what happens in one round, by lane: the stores' first, then one for each service. Within a lane one fault begins
// when the one before is over; the lanes do not wait for each other.
func (d *drawing) lanes() [][]Fault {
	lanes := [][]Fault{d.stores()}
	for _, service := range d.Services {
		lane := []Fault{
			d.kill(service), d.pause(service), {Class: Rolling, Target: service},
			{Class: Leave, Target: d.instance(service), Length: d.between(time.Second, 3*time.Second)},
		}
		for _, p := range d.Points {
			if slices.Contains(p.Services, service) {
				lane = append(lane, Fault{Class: Crash, Target: service, Point: p.Name})
			}
		}
		lanes = append(lanes, append(lane, d.pairs(service)...))
	}
	return lanes
}

func (d *drawing) kill(service string) Fault { return Fault{Class: Kill, Target: service} }

func (d *drawing) pause(service string) Fault {
	return Fault{Class: Pause, Target: d.instance(service), Length: d.Session + d.between(time.Second, 3*time.Second)}
}

// stores is what happens to the broker, Redis, the gateway, the mailbox and the log.
func (d *drawing) stores() []Fault {
	length := func() time.Duration { return d.between(2*time.Second, 4*time.Second) }
	faults := []Fault{
		{Class: Broker}, {Class: Flush}, {Class: Flush}, {Class: Lossy}, {Class: Lossy}, {Class: Empty},
		{Class: Restore}, {Class: Reborn}, {Class: Redrive}, {Class: Outsize}, {Class: Rebuild},
	}
	for range 2 {
		faults = append(faults, Fault{Class: Copies}, Fault{Class: Poison}, Fault{Class: Leader})
	}
	for _, c := range []Class{
		Produce, Slow, Answer, Late, Fetch, Lag, Away, Full, Silent, Skew, Outage, Delay, Flap, Unsure, Ours, Pending, NoMail, MailLag, PutOff,
	} {
		faults = append(faults, Fault{Class: c, Length: length()})
	}
	return faults
}

// pairs are two faults within a second. Each kind of pair is in the lane of one of the writers.
func (d *drawing) pairs(service string) []Fault {
	nth := slices.Index(d.Writers, service)
	late := func() Fault { return Fault{Class: Late, Target: service, Length: 2 * time.Second} }
	flush, restore := Fault{Class: Flush}, Fault{Class: Restore}
	kinds := [][2]Fault{
		{d.kill(service), flush}, {d.pause(service), flush}, {late(), flush}, {late(), restore},
		{d.kill(service), restore}, {d.pause(service), late()}, {flush, restore}, {d.kill(service), late()},
	}
	var faults []Fault
	for i, kind := range kinds {
		if nth < 0 || i%len(d.Writers) != nth {
			continue
		}
		first, second := kind[0], kind[1]
		second.At = d.between(0, time.Second)
		faults = append(faults, Fault{Class: Pair, Target: service, Length: max(first.Length, second.Length), Parts: []Fault{first, second}})
	}
	return faults
}
