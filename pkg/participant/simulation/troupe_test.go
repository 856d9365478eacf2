package simulation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// Three toy participants that are chained as the real ones are: order hears its own topic, where a door publishes, and
// has a deadline; payment asks a gateway; mail needs what it heard on one topic before it can answer what comes on
// another.
const (
	order = iota
	payment
	mail
	participants
)

var names = [participants]string{"order", "payment", "mail"}

// Kinds of events; each is the name of a message with one string field, text.
const (
	placed    = "Placed" // text: card, deadline in Unix milliseconds
	requested = "CancellationRequested"
	confirmed = "Confirmed"
	cancelled = "Cancelled"
	closed    = "Closed" // the refund was told: the order's fourth fact, so that a chain has a middle
	succeeded = "Succeeded"
	declined  = "Declined"
	refunded  = "Refunded"
	noted     = "Noted"
	mailed    = "Mailed" // text: kind of the cause
)

// messages are the types of the events, made here so that the simulation needs no generated code.
var messages = func() map[string]protoreflect.MessageType {
	file := &descriptorpb.FileDescriptorProto{
		Name: proto.String("simulation.proto"), Package: proto.String("simulation"), Syntax: proto.String("proto3"),
	}
	kinds := []string{placed, requested, confirmed, cancelled, closed, succeeded, declined, refunded, noted, mailed}
	for _, kind := range kinds {
		file.MessageType = append(file.MessageType, &descriptorpb.DescriptorProto{
			Name: proto.String(kind),
			Field: []*descriptorpb.FieldDescriptorProto{{
				Name: proto.String("text"), Number: proto.Int32(1), Type: descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum(),
				Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
			}},
		})
	}
	fd, err := protodesc.NewFile(file, nil)
	if err != nil {
		panic(err)
	}
	types := map[string]protoreflect.MessageType{}
	for _, kind := range kinds {
		mt := dynamicpb.NewMessageType(fd.Messages().ByName(protoreflect.Name(kind)))
		if err := protoregistry.GlobalTypes.RegisterMessage(mt); err != nil {
			panic(err)
		}
		types[kind] = mt
	}
	return types
}()

func body(kind, text string) proto.Message {
	m := messages[kind].New()
	m.Set(m.Descriptor().Fields().ByName("text"), protoreflect.ValueOfString(text))
	return m.Interface()
}

func text(m event.Message) string {
	if m.Body == nil {
		return ""
	}
	r := m.Body.ProtoReflect()
	return r.Get(r.Descriptor().Fields().ByName("text")).String()
}

func kindOf(e event.Event) string { return strings.TrimPrefix(e.Type, "simulation.") }

func typesOf(kinds ...string) []string {
	for i, k := range kinds {
		kinds[i] = "simulation." + k
	}
	return kinds
}

// state of an order, the same type for all three.
type state struct {
	Status   string // last own fact
	Code     int    // fold version of the code that folded it
	Paid     bool
	Mails    []string
	Deadline time.Time
}

// behavior of a participant on one instance, as its release version plays it.
func behavior(in *instance, version int) participant.Behavior[state] {
	b := participant.Behavior[state]{Name: names[in.part], FoldVersion: version, Evolve: evolve(version), React: in.react}
	hear := func(who int, kinds ...string) {
		b.Subscribes = append(b.Subscribes, participant.Subscription{Topic: participant.FactsTopic(names[who]), Types: typesOf(kinds...)})
	}
	switch in.part {
	case order:
		hear(order, requested)
		hear(payment, succeeded, declined)
		hear(mail, mailed)
		b.Deadline = func(s state) (time.Time, bool) { return s.Deadline, s.Status == placed }
	case payment:
		hear(order, placed, cancelled)
	case mail:
		hear(order, placed, confirmed, cancelled, closed)
		hear(payment, succeeded, refunded)
	}
	return b
}

// hears says which participants' topics a participant hears.
var hears = [participants][]int{order: {order, payment, mail}, payment: {order}, mail: {order, payment}}

func evolve(version int) func(state, event.Message) state {
	return func(s state, m event.Message) state {
		s.Code = version
		s.Status = kindOf(m.Event)
		switch s.Status {
		case placed:
			_, s.Deadline = terms(text(m))
		case succeeded:
			s.Paid = true
		case mailed:
			s.Mails = append(slices.Clone(s.Mails), text(m))
		}
		return s
	}
}

// terms are what the text of a placed order says.
func terms(text string) (card string, deadline time.Time) {
	card, ms, _ := strings.Cut(text, " ")
	n, _ := strconv.ParseInt(ms, 10, 64)
	return card, time.UnixMilli(n).UTC()
}

// react is what all three do; the instance's doors decide whether they can.
func (in *instance) react(ctx context.Context, s state, m event.Message) (proto.Message, error) {
	if err := in.world.poisoned(in.part, m.Event); err != nil {
		return nil, err
	}
	switch in.part {
	case order:
		return reactOrder(s, m)
	case payment:
		return in.reactPayment(ctx, s, m)
	}
	return reactMail(s, m)
}

func reactOrder(s state, m event.Message) (proto.Message, error) {
	waits := s.Status == placed
	switch kind := kindOf(m.Event); {
	case s.Status == "":
		return nil, fault.New(fault.NotYet, "not placed")
	case kind == succeeded && waits:
		return body(confirmed, ""), nil
	case kind == declined && waits, kind == requested && (waits || s.Status == confirmed), m.Type == participant.DeadlinePassed && waits:
		return body(cancelled, kind), nil
	case kind == mailed && text(m) == refunded && s.Status == cancelled:
		return body(closed, ""), nil
	case kind == mailed && text(m) == refunded && s.Status != closed:
		return nil, fault.New(fault.NotYet, "not cancelled, so this is not the word about a refund")
	}
	return participant.Nothing, nil
}

func (in *instance) reactPayment(ctx context.Context, s state, m event.Message) (proto.Message, error) {
	switch kind := kindOf(m.Event); {
	case kind == placed && s.Status == "":
		card, deadline := terms(text(m))
		ok, err := in.charge(ctx, m.ID, m.Subject, card, participant.Now(ctx).After(deadline))
		switch {
		case err != nil:
			return nil, err
		case ok:
			return body(succeeded, m.ID), nil
		}
		return body(declined, ""), nil
	case kind == cancelled && s.Status == "":
		return nil, fault.New(fault.NotYet, "not asked for money yet")
	case kind == cancelled && s.Status == succeeded:
		if err := in.refund(ctx, m.ID, m.Subject); err != nil {
			return nil, err
		}
		return body(refunded, ""), nil
	}
	return participant.Nothing, nil
}

// reactMail tells of a payment only after it told what became of the order, which every order makes it wait for. It
// relies on the engine that it is asked once about each event.
func reactMail(s state, m event.Message) (proto.Message, error) {
	kind := kindOf(m.Event)
	told := func(kind string) bool { return slices.Contains(s.Mails, kind) }
	switch {
	case kind == placed:
		return body(noted, "address"), nil
	case s.Status == "", kind == refunded && !told(cancelled), kind == succeeded && !told(confirmed) && !told(cancelled):
		return nil, fault.New(fault.NotYet, "no address, or what it follows from is not told yet")
	}
	return body(mailed, kind), nil
}

// poison is an event that cannot be answered, at one participant.
type poison struct {
	Part int
	Kind string
	How  string // permanent, panic, unknown; flaky, fails twice and is fine then; or deferred, likewise
}

// poisoned fails when the order's plan says so.
func (w *world) poisoned(part int, e event.Event) error {
	p := w.plan(e.Subject).Poison
	w.mu.Lock()
	fixed := w.fixed
	w.mu.Unlock()
	if fixed || p.How == "" || p.Part != part || p.Kind != kindOf(e) {
		return nil
	}
	switch p.How {
	case "panic":
		panic("a bug")
	case "unknown":
		return errors.New("who knows")
	case "flaky", "deferred":
		w.mu.Lock()
		defer w.mu.Unlock()
		w.failures[e.ID]++
		switch n := w.failures[e.ID]; {
		case n > 2:
			return nil
		case p.How == "deferred":
			return fault.Defer(0, "not decided, %d", n)
		default:
			return fmt.Errorf("failure %d", n)
		}
	}
	return fault.New(fault.Permanent, "no such account")
}
