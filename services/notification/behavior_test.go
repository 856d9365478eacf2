package notification

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant"
	notificationv1 "github.com/troupe-dev/troupe/schemas/gen/notification/v1"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	paymentv1 "github.com/troupe-dev/troupe/schemas/gen/payment/v1"
	"github.com/troupe-dev/troupe/services/notification/internal/domain"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
)

var decidedAt = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const giveUpAfter = 120 * time.Hour

// fakeMailer remembers what it was given, and fails as told.
type fakeMailer struct {
	err  error
	sent []Mail
}

func (f *fakeMailer) MessageID(causeID string) string { return causeID + "@test" }

func (f *fakeMailer) Send(_ context.Context, m Mail) error {
	f.sent = append(f.sent, m)
	return f.err
}

func message(id string, body proto.Message) event.Message {
	return event.Message{Body: body, Event: event.Event{ID: id, Type: event.TypeOf(body), Subject: "order-1", Time: decidedAt}}
}

func confirmed() event.Message {
	return message("e-confirmed", &orderv1.OrderConfirmed{
		CustomerId: "c-1", Email: "ada@example.com", Currency: "EUR", Total: 2500,
		Lines: []*orderv1.Line{{Sku: "TEA-250", Name: "Green tea", Quantity: 2, UnitPrice: 1250}},
	})
}

func cancelled(r orderv1.CancellationReason) event.Message {
	return message("e-cancelled", &orderv1.OrderCancelled{Reason: r, CustomerId: "c-1", Email: "ada@example.com", Currency: "EUR", Total: 2500})
}

func refunded() event.Message {
	return message("e-refunded", &paymentv1.PaymentRefunded{RefundId: "re_1", PaymentIntentId: "pi_1", Amount: 2400, Currency: "EUR"})
}

func TestEachEventMakesItsMailAndFact(t *testing.T) {
	after := domain.Notices{Email: "ada@example.com", Told: map[domain.Kind]domain.Status{domain.Cancelled: domain.Failed}}
	mail := Mail{At: decidedAt, OrderID: "order-1", To: "ada@example.com", Currency: "EUR", Amount: 2500}
	for _, tc := range []struct {
		state domain.Notices
		event event.Message
		kind  notificationv1.Kind
		mail  func(*Mail)
	}{
		{domain.Notices{}, confirmed(), notificationv1.Kind_KIND_CONFIRMED, func(m *Mail) {
			m.Kind, m.Lines = domain.Confirmed, []domain.Line{{SKU: "TEA-250", Name: "Green tea", Quantity: 2, Price: 1250}}
		}},
		{domain.Notices{}, cancelled(orderv1.CancellationReason_CANCELLATION_REASON_CUSTOMER), notificationv1.Kind_KIND_CANCELLED,
			func(m *Mail) { m.Kind, m.Reason = domain.Cancelled, "customer" }},
		{domain.Notices{}, cancelled(orderv1.CancellationReason_CANCELLATION_REASON_PAYMENT_DECLINED), notificationv1.Kind_KIND_CANCELLED,
			func(m *Mail) { m.Kind, m.Reason = domain.Cancelled, "payment_declined" }},
		{domain.Notices{}, cancelled(orderv1.CancellationReason_CANCELLATION_REASON_PAYMENT_TIMEOUT), notificationv1.Kind_KIND_CANCELLED,
			func(m *Mail) { m.Kind, m.Reason = domain.Cancelled, "payment_timeout" }},
		{domain.Notices{}, cancelled(99), notificationv1.Kind_KIND_CANCELLED, func(m *Mail) { m.Kind = domain.Cancelled }},
		{after, refunded(), notificationv1.Kind_KIND_REFUNDED, func(m *Mail) { m.Kind, m.Amount = domain.Refunded, 2400 }},
	} {
		want := mail
		want.CauseID = tc.event.ID
		tc.mail(&want)
		var f fakeMailer
		fact, err := Behavior(&f, giveUpAfter).React(t.Context(), tc.state, tc.event)
		sent := &notificationv1.NotificationSent{Kind: tc.kind, MessageId: tc.event.ID + "@test", Email: "ada@example.com"}
		if diff := cmp.Diff(proto.Message(sent), fact, protocmp.Transform()); diff != "" || err != nil {
			t.Errorf("%v: %v\n%s", tc.kind, err, diff)
		}
		if diff := cmp.Diff([]Mail{want}, f.sent); diff != "" {
			t.Errorf("%v: %s", tc.kind, diff)
		}
		f = fakeMailer{err: errors.Join(errors.New("outer"), &Refused{Reason: "550 no such user"})}
		fact, err = Behavior(&f, giveUpAfter).React(t.Context(), tc.state, tc.event)
		failed := &notificationv1.NotificationFailed{
			Kind: tc.kind, MessageId: tc.event.ID + "@test", Email: "ada@example.com", Reason: "550 no such user",
		}
		if diff := cmp.Diff(proto.Message(failed), fact, protocmp.Transform()); diff != "" || err != nil {
			t.Errorf("%v: %v\n%s", tc.kind, err, diff)
		}
	}
}

func TestWhatCannotBeToldNow(t *testing.T) {
	told := domain.Notices{Email: "ada@example.com", Told: map[domain.Kind]domain.Status{domain.Confirmed: domain.Sent}}
	noAddress := confirmed()
	noAddress.Body = &orderv1.OrderConfirmed{Currency: "EUR"}
	for _, tc := range []struct {
		name  string
		state domain.Notices
		event event.Message
		mail  error
		class fault.Class // Transient: no error
		sent  int
	}{
		{"told already", told, confirmed(), nil, fault.Transient, 0},
		{"refund before any mail", domain.Notices{}, refunded(), nil, fault.NotYet, 0},
		{"no address", domain.Notices{}, noAddress, nil, fault.Invalid, 0},
		{"another event", domain.Notices{}, message("x", &orderv1.OrderPlaced{}), nil, fault.Permanent, 0},
		{"mail server down", domain.Notices{}, confirmed(), fault.New(fault.Unavailable, "down"), fault.Unavailable, 1},
	} {
		f := fakeMailer{err: tc.mail}
		fact, err := Behavior(&f, giveUpAfter).React(t.Context(), tc.state, tc.event)
		if fact != nil || fault.ClassOf(err) != tc.class || (err == nil) != (tc.class == fault.Transient) || len(f.sent) != tc.sent {
			t.Errorf("%s: %v, %v, %d mails", tc.name, fact, err, len(f.sent))
		}
	}
}

// A mail that is only put off waits alone, as long as it is worth waiting, and then failed with what the server said
// last.
func TestAMailThatIsPutOffIsGivenUpInTheEnd(t *testing.T) {
	for _, tc := range []struct {
		age    time.Duration
		skewed bool
		failed bool
	}{{0, false, false}, {giveUpAfter - 1, false, false}, {giveUpAfter, false, true}, {2 * giveUpAfter, false, true}, {2 * giveUpAfter, true, false}} {
		ctx := participant.WithAttempt(t.Context(), participant.Attempt{Now: decidedAt.Add(tc.age), Skewed: tc.skewed})
		f := fakeMailer{err: fault.Defer(0, "not now: %w", &Refused{Reason: "450 4.1.2 no such domain", ForNow: true})}
		fact, err := Behavior(&f, giveUpAfter).React(ctx, domain.Notices{}, confirmed())
		if !tc.failed {
			if fact != nil || fault.ClassOf(err) != fault.Deferred {
				t.Errorf("after %s: %v, %v of class %s", tc.age, fact, err, fault.ClassOf(err))
			}
			continue
		}
		want := &notificationv1.NotificationFailed{Kind: notificationv1.Kind_KIND_CONFIRMED, MessageId: "e-confirmed@test",
			Email: "ada@example.com", Reason: "450 4.1.2 no such domain"}
		if diff := cmp.Diff(proto.Message(want), fact, protocmp.Transform()); diff != "" || err != nil {
			t.Errorf("after %s: %v\n%s", tc.age, err, diff)
		}
	}
}

func TestFactsOfALaterVersionDoNoHarm(t *testing.T) {
	before := domain.Notices{Email: "a@example.com", Told: map[domain.Kind]domain.Status{domain.Confirmed: domain.Sent}}
	b := Behavior(&fakeMailer{}, giveUpAfter)
	if after := b.Evolve(before, message("x", &paymentv1.PaymentSucceeded{})); !reflect.DeepEqual(before, after) {
		t.Errorf("%+v", after)
	}
	after := b.Evolve(before, message("x", &notificationv1.NotificationSent{Kind: 17, Email: "b@example.com"}))
	if len(after.Told) != 2 || after.Told["17"] != domain.Sent || after.Email != "b@example.com" {
		t.Errorf("%+v", after)
	}
}
