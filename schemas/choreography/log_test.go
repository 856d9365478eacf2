package choreography

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tell writes the log of one order from lines "cause > event": the ids are the events' names in lower case, a door's event has no
// cause, "deadline" is none that the log holds. A name with a digit at its end is another event of that kind.
func tell(c *Choreography, lines ...string) []Recorded {
	var log []Recorded
	heads := map[string]Recorded{}
	for _, line := range lines {
		cause, id, ok := strings.Cut(line, " > ")
		if !ok {
			cause, id = "", line
		}
		name := strings.TrimRight(id, "0123456789")
		for _, full := range c.Types() {
			if shortName(full) != name {
				continue
			}
			from := strings.Split(full, ".")[1]
			topic := c.Participants[from].Topic
			r := Recorded{Topic: topic, Partition: 3, Offset: int64(len(log)), OrderID: "o", Type: full, Source: from, ID: id, CausationID: cause}
			if c.isFact(from, full) {
				r.Sequence, r.PreviousID = heads[topic].Sequence+1, heads[topic].ID
				heads[topic] = r
			}
			log = append(log, r)
		}
	}
	return log
}

// texts are what the stories of a log say, sorted.
func texts(c *Choreography, log []Recorded, of func(*Story) []string) (all []string) {
	for _, s := range c.Stories(log) {
		for _, text := range of(s) {
			all = append(all, "order "+s.OrderID+": "+text)
		}
	}
	slices.Sort(all)
	return all
}

func violations(c *Choreography, log []Recorded) []string {
	return texts(c, log, func(s *Story) []string { return slices.Concat(s.Violations, s.Uncaused) })
}

func unsettled(c *Choreography, log []Recorded) []string {
	return texts(c, log, func(s *Story) []string { return s.Unsettled })
}

func void(c *Choreography, log []Recorded) []string {
	return texts(c, log, func(s *Story) []string { return s.Void })
}

var wholeStories = map[string][]string{
	"confirmed": {"OrderPlaced", "OrderPlaced > PaymentSucceeded", "PaymentSucceeded > OrderConfirmed", "OrderConfirmed > NotificationSent"},
	"declined":  {"OrderPlaced", "OrderPlaced > PaymentDeclined", "PaymentDeclined > OrderCancelled", "OrderCancelled > NotificationFailed"},
	"refunded": {
		"OrderPlaced", "OrderPlaced > PaymentSucceeded", "PaymentSucceeded > OrderConfirmed", "OrderConfirmed > NotificationSent",
		"OrderCancellationRequested", "OrderCancellationRequested > OrderCancelled", "OrderCancelled > NotificationSent2",
		"OrderCancelled > PaymentRefunded", "PaymentRefunded > NotificationSent3",
	},
	"timed out, then charged": {
		"OrderPlaced", "deadline > OrderCancelled", "OrderCancelled > NotificationSent", "OrderPlaced > PaymentSucceeded",
		"OrderCancelled > PaymentRefunded", "PaymentRefunded > NotificationSent2",
	},
}

func TestWholeStoriesPass(t *testing.T) {
	c := load(t)
	for name, lines := range wholeStories {
		t.Run(name, func(t *testing.T) {
			log := tell(c, lines...)
			if len(log) != len(lines) {
				t.Fatalf("told %d of %d lines", len(log), len(lines))
			}
			// Delivered in any order, every record appended twice, the second copies at the end.
			for _, r := range slices.Clone(log) {
				r.Offset += 100
				log = append(log, r)
			}
			log = append(log, Recorded{Topic: "order.dead-letters.v1", OrderID: "o"})
			rand.Shuffle(len(log), func(i, j int) { log[i], log[j] = log[j], log[i] })
			for what, found := range map[string][]string{"violations": violations(c, log), "unsettled": unsettled(c, log), "void": void(c, log)} {
				if len(found) > 0 {
					t.Errorf("%s: %v", what, found)
				}
			}
		})
	}
}

func TestUnfinishedStoriesAreUnsettled(t *testing.T) {
	c := load(t)
	for _, tc := range []struct {
		lines []string
		want  []string
	}{
		{wholeStories["confirmed"][:1], []string{"order o: order is placed", "order o: payment has not answered OrderPlaced OrderPlaced"}},
		{wholeStories["confirmed"][:2], []string{"order o: order is placed"}},
		{wholeStories["confirmed"][:3], []string{"order o: notification has not answered OrderConfirmed OrderConfirmed"}},
		{wholeStories["refunded"][:7], []string{"order o: payment has not undone PaymentSucceeded"}},
		{wholeStories["timed out, then charged"][:3], []string{"order o: payment has not answered OrderPlaced OrderPlaced"}},
		{wholeStories["refunded"][:8], []string{"order o: notification has not answered PaymentRefunded PaymentRefunded"}},
	} {
		log := tell(c, tc.lines...)
		if diff := cmp.Diff(tc.want, unsettled(c, log)); diff != "" {
			t.Errorf("after %v (-want +got):\n%s", tc.lines, diff)
		}
		if v := violations(c, log); len(v) > 0 {
			t.Errorf("after %v: %v", tc.lines, v)
		}
	}
}

func TestTheFirstInTheLogWins(t *testing.T) {
	c := load(t)
	log := tell(c, wholeStories["confirmed"]...)
	// A zombie decided otherwise, and its facts reach the log later: at the same place in the chain, and on top of themselves.
	zombie := tell(c, "OrderPlaced", "deadline > OrderCancelled")[1]
	zombie.Offset = 50
	late := zombie
	late.ID, late.Sequence, late.PreviousID, late.Offset = "later", 3, "OrderCancelled", 51
	log = append(log, zombie, late)
	if v := violations(c, log); len(v) > 0 {
		t.Errorf("void facts are taken for violations: %v", v)
	}
	if v := unsettled(c, log); len(v) > 0 {
		t.Errorf("void facts are taken in: %v", v)
	}
	want := []string{
		`order o: OrderCancelled OrderCancelled at order.events.v1/3@50 has sequence 2 after "OrderPlaced", but OrderConfirmed has 2`,
		`order o: OrderCancelled later at order.events.v1/3@51 has sequence 3 after "OrderCancelled", but OrderConfirmed has 2`,
	}
	if diff := cmp.Diff(want, void(c, log)); diff != "" {
		t.Errorf("void (-want +got):\n%s", diff)
	}
}

func TestViolationsAreFound(t *testing.T) {
	c := load(t)
	find := func(log []Recorded, id string) *Recorded {
		return &log[slices.IndexFunc(log, func(r Recorded) bool { return r.ID == id })]
	}
	for _, tc := range []struct {
		name   string
		lines  []string
		change func(log []Recorded) []Recorded
		want   string
	}{
		{name: "no such type", lines: wholeStories["confirmed"], want: `is of type "troupe.order.v1.OrderLost", which order does not publish`,
			change: func(log []Recorded) []Recorded { log[0].Type = "troupe.order.v1.OrderLost"; return log }},
		{name: "another's type", lines: wholeStories["confirmed"], want: `is of type "troupe.payment.v1.PaymentSucceeded", which order does not publish`,
			change: func(log []Recorded) []Recorded { log[1].Topic = "order.events.v1"; return log }},
		{name: "another's topic", lines: wholeStories["confirmed"], want: `comes from "order", only payment writes there`,
			change: func(log []Recorded) []Recorded { log[1].Source = "order"; return log }},
		{name: "no id", lines: wholeStories["confirmed"], want: "has no key or no id",
			change: func(log []Recorded) []Recorded { log[0].ID = ""; return log }},
		{name: "two partitions", lines: wholeStories["confirmed"], want: "is not in partition 3",
			change: func(log []Recorded) []Recorded { log[0].Partition = 4; return log }},
		{name: "a numbered request", lines: wholeStories["refunded"], want: "is a request and has a sequence",
			change: func(log []Recorded) []Recorded { find(log, "OrderCancellationRequested").Sequence = 3; return log }},
		{name: "a fact without number", lines: wholeStories["confirmed"], want: "is a fact and has no sequence",
			change: func(log []Recorded) []Recorded { find(log, "PaymentSucceeded").Sequence = 0; return log }},
		{name: "a lost beginning", lines: wholeStories["confirmed"], want: `has sequence 2 after "OrderPlaced"`,
			change: func(log []Recorded) []Recorded { return log[1:] }},
		{name: "one id for two", lines: wholeStories["refunded"], want: "has the id of NotificationSent at",
			change: func(log []Recorded) []Recorded {
				find(log, "NotificationSent3").PreviousID = "NotificationSent"
				find(log, "NotificationSent2").ID = "NotificationSent"
				return log
			}},
		{name: "an order that begins at its end", lines: []string{"PaymentSucceeded > OrderConfirmed"}, want: "leads to confirmed, where no order begins"},
		{name: "both ends", lines: append(slices.Clone(wholeStories["declined"]), "PaymentDeclined > OrderConfirmed"), want: "leads from cancelled to confirmed"},
		{name: "a second charge", lines: append(slices.Clone(wholeStories["confirmed"]), "OrderPlaced > PaymentSucceeded2"), want: "leads from succeeded to succeeded"},
		{name: "a second answer", lines: append(slices.Clone(wholeStories["confirmed"]), "OrderConfirmed > NotificationSent2"),
			want: "answers OrderConfirmed, which NotificationSent has answered already"},
		{name: "a door's fact with a cause", lines: []string{"OrderPlaced0 > OrderPlaced"}, want: "comes in at a door and has a cause"},
		{name: "no cause", lines: []string{"OrderPlaced", "PaymentSucceeded"}, want: "has no cause"},
		{name: "a wrong answer", lines: []string{"OrderPlaced", "OrderPlaced > PaymentSucceeded", "PaymentSucceeded > OrderCancelled"}, want: "answers PaymentSucceeded"},
		{name: "an unknown cause", lines: []string{"OrderPlaced", "deadline > PaymentSucceeded"}, want: "answers deadline, which is not in the log"},
		{name: "a deadline when none runs", lines: append(slices.Clone(wholeStories["confirmed"]), "deadline > OrderCancelled"), want: "can be no deadline"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			log := tell(c, tc.lines...)
			if tc.change != nil {
				log = tc.change(log)
			}
			got := violations(c, log)
			if !slices.ContainsFunc(got, func(v string) bool { return strings.Contains(v, tc.want) }) {
				t.Errorf("got %q, want one to say %q", got, tc.want)
			}
		})
	}
}
