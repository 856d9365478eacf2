package participant

import (
	"context"
	"maps"
	"runtime/debug"
	"slices"
	"strconv"
	"time"

	"github.com/goccy/go-json"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
	"google.golang.org/protobuf/proto"
)

// behavior is a Behavior without its type parameter.
type behavior struct {
	name        string
	foldVersion string
	facts       string                     // own topic
	letters     string                     // dead-letter topic
	requests    string                     // what operators ask; subscribed to as well
	admits      bool                       // it subscribes to its own topic: admission publishes there
	subscribed  map[string]map[string]bool // topics, and the types that it reacts to
	topics      []string                   // of subscribed, sorted
	react       reactFunc
	evolve      func(any, event.Message) any
	deadline    func(any) (time.Time, bool)
	zero        func() any
	encode      func(any) (string, error)
	decode      func(string) (any, error)
}

// evolved is the state after a fact, and its text. A panic of Evolve or Deadline is an error: an event that causes one
// is parked and does not end the process.
func (b *behavior) evolved(state any, fact event.Message) (after any, text string, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &panicked{value: r, stack: debug.Stack()}
		}
	}()
	after = b.evolve(state, fact)
	b.deadline(after)
	text, err = b.encode(after)
	return after, text, err
}

type reactFunc func(ctx context.Context, state any, m event.Message) (proto.Message, error)

// reactUntyped calls React, turning a panic into an error that parks the event.
func (b Behavior[S]) reactUntyped(ctx context.Context, state any, m event.Message) (fact proto.Message, err error) {
	defer func() {
		if r := recover(); r != nil {
			fact, err = nil, &panicked{value: r, stack: debug.Stack()}
		}
	}()
	return b.React(ctx, state.(S), m)
}

// layout is raised when the meaning of what the cycle itself keeps in Redis changes.
const layout = "8"

// Version names what the tasks of a participant store: another one is folded again.
func (b Behavior[S]) Version() string { return layout + "." + strconv.Itoa(b.FoldVersion) }

func (b Behavior[S]) erase() *behavior {
	var none any = *new(S)
	e := &behavior{
		name:        b.Name,
		foldVersion: b.Version(),
		facts:       FactsTopic(b.Name),
		letters:     deadletter.Topic(b.Name),
		requests:    deadletter.RedriveTopic(b.Name),
		subscribed:  map[string]map[string]bool{deadletter.RedriveTopic(b.Name): nil},
		react:       b.reactUntyped,
		evolve:      func(s any, m event.Message) any { return b.Evolve(s.(S), m) },
		deadline:    func(any) (time.Time, bool) { return time.Time{}, false },
		zero:        func() any { return none },
		encode:      func(s any) (string, error) { v, err := json.Marshal(s.(S)); return string(v), err },
		decode:      func(v string) (any, error) { var s S; err := json.Unmarshal([]byte(v), &s); return s, err },
	}
	if b.Deadline != nil {
		e.deadline = func(s any) (time.Time, bool) { return b.Deadline(s.(S)) }
	}
	for _, s := range b.Subscribes {
		types := map[string]bool{}
		for _, t := range s.Types {
			types[t] = true
		}
		e.subscribed[s.Topic] = types
		e.admits = e.admits || s.Topic == e.facts
	}
	e.topics = slices.Sorted(maps.Keys(e.subscribed))
	return e
}
