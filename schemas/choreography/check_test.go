package choreography

import (
	"errors"
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/schemas"
)

func TestThisSystemsChoreographyWorks(t *testing.T) {
	c, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range c.Check() {
		t.Error(err)
	}
}

type breakage struct {
	rule     Rule
	old, new string
	want     string
}

// Each case breaks the file in one place; exactly that rule must find it, with this text.
var broken = []breakage{
	{OrphanEvent, "listens: [order.events.v1, payment.events.v1, notification.events.v1]", "listens: [order.events.v1, payment.events.v1]",
		"nobody listens to troupe.notification.v1.NotificationFailed"},
	{UnpublishedEvent, "payment.PaymentDeclined: [OrderCancelled]", "payment.PaymentDeclined: [OrderCancelled]\n      payment.PaymentLost: [OrderCancelled]",
		"order reacts to payment.PaymentLost, which nobody publishes"},
	{UnpublishedEvent, "payment.PaymentDeclined: [OrderCancelled]", "payment.PaymentDeclined: [OrderCancelled]\n      stock.StockReserved: [OrderCancelled]",
		"order reacts to stock.StockReserved, which nobody publishes"},
	{UnknownTopic, "notification.events.v1]", "notification.events.v1, stock.events.v1]", "query listens to stock.events.v1, which nobody writes"},
	{ForeignAnswer, "payment.PaymentDeclined: [OrderCancelled]", "payment.PaymentDeclined: [OrderCancelled, PaymentRefunded]",
		"order: payment.PaymentDeclined is answered with PaymentRefunded, which it does not decide"},
	{ForeignAnswer, "deadline.payment_deadline: [OrderCancelled]", "deadline.payment_deadline: [OrderCancelled, OrderPlaced]",
		"order: deadline.payment_deadline is answered with OrderPlaced, which it does not decide"},
	{ForeignAnswer, "order.OrderCancellationRequested: [OrderCancelled]", "order.OrderCancellationRequested: []",
		"order: order.OrderCancellationRequested has no answer"},
	{UndecidedFact, "payment.PaymentSucceeded: [OrderConfirmed]", "payment.PaymentSucceeded: [OrderCancelled]", "order: OrderConfirmed is the answer to nothing"},
	{WrongDoor, "OrderCancellationRequested: { kind: request", "OrderCancellationRequested: { kind: fact",
		"order: OrderCancellationRequested must be among the facts"},
	{WrongDoor, "OrderPlaced: { kind: fact", "OrderPlaced: { kind: request", "order: OrderPlaced is a request and must not be among the facts"},
	{WrongDoor, "evolve: { OrderPlaced: placed, OrderConfirmed: confirmed", "evolve: { OrderPlaced: confirmed, OrderConfirmed: placed",
		"order: OrderPlaced must lead to a first state"},
	{IncompleteEvolve, "evolve: { NotificationSent: told, NotificationFailed: told }", "evolve: { NotificationSent: told }",
		"notification: NotificationFailed leads to no state"},
	{IncompleteEvolve, "NotificationFailed: told }", "NotificationFailed: told, NotificationLost: told }", "notification: NotificationLost is no fact"},
	{IncompleteEvolve, "NotificationFailed: told }", "NotificationFailed: untold }", "notification: NotificationFailed leads to untold, which is no state"},
	{IncompleteEvolve, "next: [told]", "next: [told, untold]", "notification: told is followed by untold, which is no state"},
	{UnreachableState, "declined: { first: true, final: true }", "declined: { final: true }", "payment: nothing leads to declined"},
	{UnreachableState, "declined: { first: true, final: true }", "declined: { first: true, final: true }\n      lost: { first: true, final: true }",
		"payment: nothing leads to lost"},
	{DeadEnd, "next: [told], final: true }", "next: [told], deadline: patience }", "notification: from told there is no way to a final state"},
	{NoDeadline, "confirmed: { next: [cancelled], final: true }", "confirmed: { next: [cancelled] }", "order: confirmed is not final and has no deadline"},
	{UselessDeadline, "      deadline.payment_deadline: [OrderCancelled]\n", "", "order: payment_deadline passes in placed and nothing reacts to it"},
	{UselessDeadline, "next: [confirmed, cancelled], deadline", "next: [confirmed], deadline", "order: what answers payment_deadline does not lead out of placed"},
	{UselessDeadline, "order.OrderPlaced: [PaymentSucceeded, PaymentDeclined]\n", "order.OrderPlaced: [PaymentSucceeded, PaymentDeclined]\n      deadline.refund: [PaymentRefunded]\n",
		"payment: no state has the deadline of deadline.refund"},
	{UncompensatedEffect, "      NotificationSent: a mail cannot be called back; the next mail says what has changed\n", "      {}\n",
		"notification: NotificationSent happens outside and nothing undoes it"},
	{UncompensatedEffect, "a mail cannot be called back; the next mail says what has changed", `""`, "notification: NotificationSent is irrevocable without a reason"},
	{UncompensatedEffect, "effects: [NotificationSent]", "effects: [NotificationSent, MailSent]", "notification: effect MailSent is no fact"},
	{UncompensatedEffect, "effects: [NotificationSent]", "effects: []", "notification: NotificationSent is irrevocable, but no effect"},
	{UncompensatedEffect, "      PaymentSucceeded: { by: PaymentRefunded, on: order.OrderCancelled }\n",
		"      PaymentSucceeded: { by: PaymentRefunded, on: order.OrderCancelled }\n    irrevocable: { PaymentSucceeded: gone }\n",
		"payment: PaymentSucceeded is both irrevocable and compensated"},
	{NoWayOut, "    reaches: [gateway]\n", "", "payment: has effects outside, and reaches nothing there"},
	{WrongCompensation, "effects: [PaymentSucceeded, PaymentRefunded]", "effects: [PaymentRefunded]", "payment: PaymentSucceeded is compensated, but no effect"},
	{WrongCompensation, "on: order.OrderCancelled }", "on: order.OrderConfirmed }", "payment: PaymentSucceeded is undone on order.OrderConfirmed, which is not listened to"},
	{WrongCompensation, "on: order.OrderCancelled }", "on: order.OrderPlaced }", "payment: PaymentSucceeded is undone by PaymentRefunded, which does not answer order.OrderPlaced"},
	{WrongCompensation, "next: [refunded], final: true }", "final: true }", "payment: PaymentSucceeded is undone by PaymentRefunded, which may not follow it"},
	{UnheardMustAnswer, "must_answer: [order.OrderPlaced]", "must_answer: [order.OrderPlaced, order.OrderConfirmed]",
		"payment: order.OrderConfirmed must be answered, but is not listened to"},
	{Endless, "order.OrderCancelled: [PaymentRefunded]", "order.OrderCancelled: [PaymentRefunded]\n      notification.NotificationFailed: [PaymentRefunded]",
		"troupe.notification.v1.NotificationFailed → troupe.payment.v1.PaymentRefunded → troupe.notification.v1.NotificationFailed"},
}

// besides is what a case needs too, so that it breaks one rule only.
var besides = map[string][2]string{
	"notification: from told there is no way to a final state": {
		"payment.PaymentRefunded: [NotificationSent, NotificationFailed]",
		"payment.PaymentRefunded: [NotificationSent, NotificationFailed]\n      deadline.patience: [NotificationFailed]",
	},
	"payment: PaymentSucceeded is undone by PaymentRefunded, which may not follow it": {
		"refunded: { final: true }", "refunded: { first: true, final: true }",
	},
}

func TestEachRuleFindsWhatBreaksIt(t *testing.T) {
	tried := map[Rule]bool{}
	for _, b := range broken {
		tried[b.rule] = true
		t.Run(string(b.rule)+"/"+b.want, func(t *testing.T) {
			text := replaceOnce(t, string(schemas.Choreography), b.old, b.new)
			if also, ok := besides[b.want]; ok {
				text = replaceOnce(t, text, also[0], also[1])
			}
			c, err := Parse(strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			found := false
			for _, err := range c.Check() {
				var f Finding
				if !errors.As(err, &f) || f.Rule != b.rule {
					t.Errorf("another rule complains too: %v", err)
				}
				found = found || f.Text == b.want
			}
			if !found {
				t.Errorf("not found: %s; found %v", b.want, c.Check())
			}
		})
	}
	for _, r := range rules {
		if !tried[r.rule] {
			t.Errorf("no case breaks %q", r.rule)
		}
	}
}

func replaceOnce(t *testing.T, text, old, with string) string {
	t.Helper()
	if strings.Count(text, old) != 1 {
		t.Fatalf("%q is in the text %d times", old, strings.Count(text, old))
	}
	return strings.Replace(text, old, with, 1)
}
