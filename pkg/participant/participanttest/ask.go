package participanttest

import (
	"context"
	"fmt"
	"time"

	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"google.golang.org/protobuf/proto"
)

// answer is what React returned.
type answer struct {
	fact proto.Message
	err  error
}

func (a answer) nothing() bool { return a.fact == nil && a.err == nil }

func (a answer) String() string {
	switch {
	case a.err != nil:
		return fault.ClassOf(a.err).String()
	case a.fact == nil:
		return "nothing"
	}
	return written(a.fact)
}

// written is a body's type and content.
func written(body proto.Message) string {
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(body)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s %q", event.TypeOf(body), data)
}

// held says that the event waits for a cause.
func (a answer) held() bool { return a.err != nil && fault.ClassOf(a.err) == fault.NotYet }

// failed says that there is no answer yet, for which a door outside may be the reason: asked again it may answer.
func (a answer) failed() bool { return a.err != nil && !a.held() }

// ask puts an event to the veteran and to a new instance, which must answer the same.
func (l *life[S]) ask(ctx context.Context, d *delivered) answer {
	before, body := l.stored(l.state), proto.Clone(d.Body)
	restored := l.restored()
	var a, again answer
	a.fact, a.err = l.veteran.React(ctx, l.state, d.Message)
	again.fact, again.err = l.instance().React(ctx, restored, d.Message)
	if after := l.stored(l.state); after != before {
		l.breaks(ownFold, "React to %s changed the state from %s to %s", d.Type, before, after)
	}
	if !proto.Equal(body, d.Body) {
		l.breaks(sameAnswer, "React changed the body of %s", d.Type)
	}
	for _, x := range []answer{a, again} {
		switch {
		case x.fact == nil:
		case !x.fact.ProtoReflect().IsValid():
			l.breaks(oneFact, "%s is answered with a nil %T, which is a fact: say participant.Nothing", d.Type, x.fact)
			return answer{}
		case x.err != nil:
			l.breaks(oneFact, "%s is answered with %s and with the error %v", d.Type, written(x.fact), x.err)
		}
	}
	rule := sameAnswer
	if a.held() != again.held() {
		rule = notYetByState
	}
	if !a.failed() && !again.failed() && a.String() != again.String() {
		l.breaks(rule, "%s in %s: %s, and by a new instance %s", d.Type, before, a, again)
	}
	return a
}

// fold takes a fact to the log and evolves the state by it: as it was decided, and as it is read back.
func (l *life[S]) fold(body proto.Message, causeID string) {
	data, err := event.Encode(body)
	if err != nil {
		l.breaks(oneFact, "%s cannot be encoded: %v", event.TypeOf(body), err)
		return
	}
	typ := event.TypeOf(body)
	fact := event.Message{Body: body, Event: event.Event{
		ID: event.FactID(causeID, l.veteran.Name, typ), Type: typ, Source: l.veteran.Name, Subject: orderID, Time: l.now,
		Sequence: uint64(l.own) + 1, CausationID: causeID, Data: data,
	}}
	read, err := event.Decode(fact.Event)
	if err != nil {
		l.breaks(oneFact, "%s cannot be read back: %v", typ, err)
		return
	}
	before, restored := l.stored(l.state), l.restored()
	next := l.veteran.Evolve(l.state, fact)
	if after := l.stored(l.state); after != before {
		l.breaks(ownFold, "Evolve by %s changed its argument from %s to %s", typ, before, after)
	}
	if !proto.Equal(fact.Body, read.Body) {
		l.breaks(ownFold, "Evolve changed the body of %s", typ)
	}
	folded := l.instance().Evolve(restored, read)
	if lived, folded := l.stored(next), l.stored(folded); lived != folded {
		l.breaks(ownFold, "after %s the state is %s, and read back from store and log %s", typ, lived, folded)
	}
	l.state, l.own = next, l.own+1
	if causeID == "" {
		l.note("%s first fact: %s", l.now.Format(time.RFC3339), written(body))
	}
}
