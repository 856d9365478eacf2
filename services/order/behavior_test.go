package order

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant"
	"github.com/troupe-dev/troupe/schemas/choreography"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	paymentv1 "github.com/troupe-dev/troupe/schemas/gen/payment/v1"
	"github.com/troupe-dev/troupe/services/order/internal/domain"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"
)

var (
	morning = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	lines   = []*orderv1.Line{{Sku: "TEA-250", Name: "Green tea", Quantity: 2, UnitPrice: 1250}}
)

func placedBody() *orderv1.OrderPlaced {
	return &orderv1.OrderPlaced{
		CustomerId: "c-1001", Email: "ada@example.com", Currency: "EUR", PaymentMethod: "pm_card_visa", Lines: lines, Total: 2500,
		PlacedAt: timestamppb.New(morning), PaymentDeadline: timestamppb.New(morning.Add(15 * time.Minute)), BodyHash: []byte("hash"),
	}
}

// message is an event with a body; a nil one is the deadline, which has none.
func message(body proto.Message) event.Message {
	if body == nil {
		return event.Message{Event: event.Event{Type: participant.DeadlinePassed}}
	}
	return event.Message{Event: event.Event{Type: event.TypeOf(body)}, Body: body}
}

// in returns the state after facts.
func in(facts ...proto.Message) (o domain.Order) {
	for _, f := range facts {
		o = Behavior().Evolve(o, message(f))
	}
	return o
}

func cancelled(r orderv1.CancellationReason) *orderv1.OrderCancelled {
	return &orderv1.OrderCancelled{Reason: r, CustomerId: "c-1001", Email: "ada@example.com", Currency: "EUR", Total: 2500}
}

var (
	confirmed  = &orderv1.OrderConfirmed{CustomerId: "c-1001", Email: "ada@example.com", Currency: "EUR", Total: 2500, Lines: lines}
	byCustomer = cancelled(orderv1.CancellationReason_CANCELLATION_REASON_CUSTOMER)
)

func TestReactAnswersInTheWordsOfTheContract(t *testing.T) {
	for _, tc := range []struct {
		name  string
		state domain.Order
		cause proto.Message
		want  proto.Message
	}{
		{"paid", in(placedBody()), &paymentv1.PaymentSucceeded{}, confirmed},
		{"declined", in(placedBody()), &paymentv1.PaymentDeclined{}, cancelled(orderv1.CancellationReason_CANCELLATION_REASON_PAYMENT_DECLINED)},
		{"payment not tried in time", in(placedBody()), &paymentv1.PaymentDeclined{Reason: "payment_timeout"},
			cancelled(orderv1.CancellationReason_CANCELLATION_REASON_PAYMENT_TIMEOUT)},
		{"cancelled", in(placedBody()), &orderv1.OrderCancellationRequested{}, byCustomer},
		{"cancelled after payment", in(placedBody(), confirmed), &orderv1.OrderCancellationRequested{}, byCustomer},
		{"too late", in(placedBody()), nil, cancelled(orderv1.CancellationReason_CANCELLATION_REASON_PAYMENT_TIMEOUT)},
		{"paid after the cancellation", in(placedBody(), byCustomer), &paymentv1.PaymentSucceeded{}, nil},
		{"deadline after the payment", in(placedBody(), confirmed), nil, nil},
		{"what it does not hear", in(placedBody()), &paymentv1.PaymentRefunded{}, nil},
	} {
		got, err := react(t.Context(), tc.state, message(tc.cause))
		if diff := cmp.Diff(tc.want, got, protocmp.Transform()); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", tc.name, err, diff)
		}
	}
}

func TestWhatComesBeforeTheOrderIsHeld(t *testing.T) {
	for _, cause := range []proto.Message{&paymentv1.PaymentSucceeded{}, &paymentv1.PaymentDeclined{}, &orderv1.OrderCancellationRequested{}, nil} {
		got, err := react(t.Context(), domain.Order{}, message(cause))
		if got != nil || fault.ClassOf(err) != fault.NotYet {
			t.Errorf("%T: %v, %v", cause, got, err)
		}
	}
}

func TestStateIsReadFromTheFacts(t *testing.T) {
	o := in(placedBody(), &orderv1.OrderCancellationRequested{}, cancelled(orderv1.CancellationReason_CANCELLATION_REASON_PAYMENT_TIMEOUT))
	want := domain.Order{
		Status: domain.Cancelled, CustomerID: "c-1001", Email: "ada@example.com", Currency: "EUR", Total: 2500,
		Lines:    []domain.Line{{SKU: "TEA-250", Name: "Green tea", Quantity: 2, UnitPrice: 1250}},
		PlacedAt: morning, PaymentDeadline: morning.Add(15 * time.Minute), BodyHash: []byte("hash"), Reason: domain.PaymentTimeout,
	}
	if diff := cmp.Diff(want, o); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if at, ok := Behavior().Deadline(in(placedBody())); !ok || !at.Equal(morning.Add(15*time.Minute)) {
		t.Errorf("deadline %s, %v", at, ok)
	}
	if _, ok := Behavior().Deadline(o); ok {
		t.Error("a cancelled order has a deadline")
	}
}

// The code and schemas/choreography.yaml say the same.
func TestChoreography(t *testing.T) {
	c, err := choreography.Load()
	if err != nil {
		t.Fatal(err)
	}
	hears := map[string][]string{}
	for _, h := range Behavior().Subscribes {
		hears[h.Topic] = slices.Sorted(slices.Values(h.Types))
	}
	if diff := cmp.Diff(c.Subscriptions(Name), hears); diff != "" {
		t.Errorf("what it subscribes to (-choreography +code):\n%s", diff)
	}

	states := []domain.Order{{}, in(placedBody()), in(placedBody(), confirmed), in(placedBody(), byCustomer)}
	next, leads := map[string][]string{}, map[string]string{}
	for _, o := range states {
		if o.Status != domain.Unplaced {
			next[string(o.Status)] = nil
		}
		for _, f := range []proto.Message{placedBody(), confirmed, byCustomer} {
			to := Behavior().Evolve(o, message(f)).Status
			if to == o.Status {
				continue
			}
			leads[event.TypeOf(f)] = string(to)
			if o.Status != domain.Unplaced {
				next[string(o.Status)] = append(next[string(o.Status)], string(to))
			}
		}
	}
	if diff := cmp.Diff(c.Next(Name), next); diff != "" {
		t.Errorf("which state follows which (-choreography +code):\n%s", diff)
	}
	if diff := cmp.Diff(c.Evolve(Name), leads); diff != "" {
		t.Errorf("where facts lead (-choreography +code):\n%s", diff)
	}

	for _, body := range []proto.Message{
		&paymentv1.PaymentSucceeded{}, &paymentv1.PaymentDeclined{}, &orderv1.OrderCancellationRequested{}, nil,
	} {
		cause := c.Deadlines(Name)[0]
		if body != nil {
			cause = event.TypeOf(body)
		}
		var answers []string
		for _, o := range states {
			if f, err := react(t.Context(), o, message(body)); err == nil && f != nil && !slices.Contains(answers, event.TypeOf(f)) {
				answers = append(answers, event.TypeOf(f))
			}
		}
		if want := c.Answers(Name, cause); !slices.Equal(answers, want) {
			t.Errorf("%s is answered with %q, by the choreography with %q", cause, answers, want)
		}
	}
}
