// Package choreography reads the protocol between the participants from choreography.yaml, checks that it can work, and holds
// recorded logs against it. Tests use it to keep the services' code and the file the same.
package choreography

//go:generate go run ./cmd/asyncapi -write ../asyncapi.yaml
//go:generate go run ./cmd/kubernetes -write ../../k8s

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"

	"github.com/troupe-dev/troupe/schemas"
	"go.yaml.in/yaml/v4"
)

// Choreography is the file as it is written. Names in it are short: a participant's own events by their name, others' as
// participant.Event. The methods speak in full names, as they are on the wire: troupe.order.v1.OrderPlaced.
type Choreography struct {
	Version int `yaml:"version"`
	// Partitions of every topic.
	Partitions int `yaml:"partitions"`
	// Package is the first part of every event type.
	Package string `yaml:"package"`
	// Outside has what participants ask beside the log, and the port it has in the demo.
	Outside      map[string]int         `yaml:"outside"`
	Participants map[string]Participant `yaml:"participants"`
	Readers      map[string]Reader      `yaml:"readers"`
}

// Participant is a service with a part in the choreography.
type Participant struct {
	// Topic that it alone writes.
	Topic string `yaml:"topic"`
	// Doors are the events that come in from outside the topics.
	Doors map[string]Door `yaml:"doors"`
	// Facts are the events that change its state, a door's included.
	Facts []string `yaml:"facts"`
	// States of one order; an order that has no fact yet has no state.
	States map[string]State `yaml:"states"`
	// Evolve says which state a fact leads to.
	Evolve map[string]string `yaml:"evolve"`
	// Reacts says what it listens to (participant.Event, or deadline.name) and the facts one of which may be the answer.
	Reacts map[string][]string `yaml:"reacts"`
	// MustAnswer names what it answers with a fact in every state.
	MustAnswer []string `yaml:"must_answer"`
	// Effects are the facts that say that something has happened outside.
	Effects []string `yaml:"effects"`
	// Reaches are those of Outside that it connects to.
	Reaches []string `yaml:"reaches"`
	// Compensations says what undoes an effect.
	Compensations map[string]Compensation `yaml:"compensations"`
	// Irrevocable says of an effect why nothing undoes it.
	Irrevocable map[string]string `yaml:"irrevocable"`
}

// Door is an event that comes in from outside the topics.
type Door struct {
	// Kind is "fact" (it begins an order) or "request" (it changes nothing by itself and is not in the chain).
	Kind string `yaml:"kind"`
	// From says who asks.
	From string `yaml:"from"`
}

// Kinds of a Door.
const (
	Fact    = "fact"
	Request = "request"
)

// State of one order at one participant.
type State struct {
	First    bool     `yaml:"first"`
	Next     []string `yaml:"next"`
	Final    bool     `yaml:"final"`
	Deadline string   `yaml:"deadline"`
}

// Compensation undoes an effect.
type Compensation struct {
	// By is the fact that says that it is undone.
	By string `yaml:"by"`
	// On is the event that asks for it.
	On string `yaml:"on"`
}

// Reader folds events and publishes nothing.
type Reader struct {
	// Listens holds topics; a reader takes every event in them.
	Listens []string `yaml:"listens"`
	// Operates: it folds every participant's dead letters and redrive requests, which its operators write, reads their
	// facts, and looks at the groups of all others.
	Operates bool `yaml:"operates"`
	// Asks are the services whose REST it reads.
	Asks []string `yaml:"asks"`
	// Shows are topics of others than participants, which it reads where they are there.
	Shows []string `yaml:"shows"`
}

// Load reads the choreography of this system. It does not Check it.
func Load() (*Choreography, error) { return parse(schemas.Choreography) }

// Parse reads a choreography. It refuses unknown and repeated fields, naming the line, and values that cannot be meant; whether
// the choreography can work is for Check to say.
func Parse(r io.Reader) (*Choreography, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("read choreography: %w", err)
	}
	return parse(data)
}

func parse(data []byte) (*Choreography, error) {
	var c Choreography
	if err := yaml.Load(data, &c, yaml.WithKnownFields(), yaml.WithUniqueKeys()); err != nil {
		return nil, fmt.Errorf("choreography: %w", err)
	}
	if err := c.wellFormed(); err != nil {
		return nil, fmt.Errorf("choreography: %w", err)
	}
	return &c, nil
}

var (
	word      = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	eventName = regexp.MustCompile(`^[A-Z][A-Za-z0-9]*$`)
	topicName = regexp.MustCompile(`^([a-z][a-z0-9_]*)\.events\.(v[1-9][0-9]*)$`)
	shownName = regexp.MustCompile(`^[a-z][a-z0-9_]*\.v[1-9][0-9]*$`)
)

// wellFormed is what every method relies on, so Parse insists on it.
func (c *Choreography) wellFormed() error {
	var errs []error
	insist := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	insist(c.Version == 1, "version: must be 1, is %d", c.Version)
	insist(c.Partitions > 0, "partitions: must be positive, is %d", c.Partitions)
	insist(word.MatchString(c.Package), "package: must match %s, is %q", word, c.Package)
	insist(len(c.Participants) > 0, "participants: must not be empty")
	for _, name := range sorted(c.Outside) {
		port := c.Outside[name]
		insist(word.MatchString(name) && port > 0 && port < 1<<16, "outside.%s: must be %s: a port, is %d", name, word, port)
	}
	for _, name := range sorted(c.Readers) {
		for _, asks := range c.Readers[name].Asks {
			insist(slices.Contains(c.Names(), asks), "readers.%s.asks: %q is no participant or reader", name, asks)
		}
		for _, topic := range c.Readers[name].Shows {
			insist(shownName.MatchString(topic), "readers.%s.shows: must match %s, is %q", name, shownName, topic)
		}
	}
	for _, name := range sorted(c.Participants) {
		p := c.Participants[name]
		insist(word.MatchString(name) && name != deadline, "participants.%s: the name must match %s and not be %q", name, word, deadline)
		m := topicName.FindStringSubmatch(p.Topic)
		insist(m != nil && m[1] == name, "participants.%s.topic: must be %s.events.vN, is %q", name, name, p.Topic)
		insist(len(sortedSet(p.Facts)) == len(p.Facts), "participants.%s.facts: must not repeat", name)
		for _, e := range p.events() {
			insist(eventName.MatchString(e), "participants.%s: event %q must match %s", name, e, eventName)
		}
		for _, to := range p.Reaches {
			insist(c.Outside[to] > 0, "participants.%s.reaches: %q is not in outside", name, to)
		}
		for _, e := range sorted(p.Doors) {
			kind := p.Doors[e].Kind
			insist(kind == Fact || kind == Request, "participants.%s.doors.%s.kind: must be fact or request, is %q", name, e, kind)
		}
	}
	return errors.Join(errs...)
}
