package inspect_test

import (
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/schemas/check"
	notificationv1 "github.com/troupe-dev/troupe/schemas/gen/notification/v1"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	paymentv1 "github.com/troupe-dev/troupe/schemas/gen/payment/v1"
	"github.com/troupe-dev/troupe/services/troupe/internal/gateway"
	"github.com/troupe-dev/troupe/services/troupe/internal/mailbox"
)

func TestFindsNothingWhereEverythingIsRight(t *testing.T) {
	w := newWorld(t)
	w.mails = append(w.mails, mailbox.Message{ID: int64(len(w.mails) + 1), MessageID: w.mails[0].MessageID}) // a resend
	tp := broker.TopicPartition{Topic: "order.events.v1", Partition: broker.Partition([]byte("good"), partitions)}
	w.log.Append(tp, w.log.Read(tp)[0]) // a copy
	w.plant("order.events.v1", "order", "payment", "notification")
	r := w.run()
	if len(r.Violations) > 0 {
		t.Fatalf("found\n%s", r)
	}
	want := "orders 3: 1 confirmed, 2 cancelled (0 because their payment came too late)\n" +
		"settled after 5ms (half of them), 5ms (99 of 100), 5ms (all)\n" +
		"ledger: 2 charges (0×1 1×2 per order), 3 declines, 1 refunds (1×1 per cancelled payment)\n" +
		"mails: 5, and 1 copies with the same Message-ID\n" +
		"log: 19 records, 1 of them copies, 0 void, 1 poison; 3 dead letters, 3 of them explained\nviolations: 0\n"
	if got := r.String(); got != want {
		t.Errorf("report\n%s\nwant\n%s", got, want)
	}
}

// A log takes the place of another: of the orders before it, money and mails are left, which nobody touches.
func TestOrdersOfALogThatIsGone(t *testing.T) {
	for name, tt := range map[string]struct {
		breakIt func(*world)
		says    string
	}{
		"nothing":       {func(*world) {}, ""},
		"charged again": {func(w *world) { recharge(w, "good") }, "charged_twice: order good: its log is gone, and its money moved"},
		"refunded": {func(w *world) {
			w.ledger.Orders["good"].Intents[0].Refunds = []gateway.LedgerRefund{{Status: "succeeded", Amount: 2500}}
		}, "refunded_twice: order good: its log is gone"},
		"mailed": {func(w *world) {
			w.mails = append(w.mails, mailbox.Message{ID: int64(len(w.mails) + 1), MessageID: "again", To: []string{"good@example.com"}})
		}, "mailed_twice: mail again is in the mailbox, and no fact says so"},
		"decided":               {func(w *world) { w.place("good"); w.expected = w.expected[:1] }, "choreography: order good: is in the log, but nobody was promised it"},
		"new one charged twice": {func(w *world) { recharge(w, "new") }, "charged_twice: order new: the ledger has 2 charges"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s, end := w.system()
			gone, err := s.Remember(t.Context())
			end()
			if err != nil {
				t.Fatal(err)
			}
			w.gone, w.log, w.heads, w.expected, w.list = gone, brokertest.New(), map[string]event.Event{}, nil, nil
			w.provision()
			w.good("new")
			tt.breakIt(w)
			if r := w.run(); (len(r.Violations) > 0) != (tt.says != "") || !strings.Contains(r.String(), tt.says) {
				t.Errorf("does not say %q\n%s", tt.says, r)
			}
		})
	}
}

func recharge(w *world, id string) {
	in := &w.ledger.Orders[id].Intents[0]
	in.Charges = append(in.Charges, in.Charges[1])
}

// Each row breaks one promise; the checker must say so.
func TestFindsEveryBrokenPromise(t *testing.T) {
	for name, tt := range map[string]struct {
		breakIt func(*world)
		says    string
	}{
		"lost order": {func(w *world) {
			w.expected = append(w.expected, check.Expected{ID: "lost"})
			w.list = append(w.list, "lost")
		},
			"lost: order lost: was answered with 202 and is in the log 0 times"},
		"invented order":         {func(w *world) { w.expected = w.expected[1:] }, "choreography: order good: is in the log, but nobody was promised it"},
		"unsettled order":        {func(w *world) { w.place("open") }, "stuck: order open: is neither confirmed nor cancelled"},
		"cancellation forgotten": {func(w *world) { w.expected[0].CancelAsked = true }, "lost: order good: is not cancelled"},
		"declined card accepted": {func(w *world) { w.expected[0].Declined = true }, "choreography: order good: has a declined card"},
		"good card refused": {func(w *world) { w.expected[1].Declined = false },
			"choreography: order declined: has a good card and is not confirmed"},
		"charged twice": {func(w *world) {
			in := &w.ledger.Orders["good"].Intents[0]
			in.Charges = append(in.Charges, in.Charges[1])
		}, "charged_twice: order good: the ledger has 2 charges"},
		"charged the wrong sum": {func(w *world) { w.ledger.Orders["good"].Intents[0].Charges[1].Amount = 1 },
			"choreography: order good: the ledger has 1 charges over 1"},
		"charge forgotten": {func(w *world) { delete(w.ledger.Orders, "good") }, "choreography: order good: the ledger has 0 charges"},
		"charge unknown to the log": {func(w *world) {
			w.ledger.Orders["declined"].Intents[0].Charges[0].Status = "succeeded"
		}, "lost: order declined: the ledger has 1 charges over 2500, the log 0 over"},
		"charge of a stranger": {func(w *world) { w.ledger.Orders["who"] = w.ledger.Orders["good"] },
			"choreography: order who: is in the ledger, but nobody was promised it"},
		"charged before it was placed": {func(w *world) { w.ledger.Orders["good"].Intents[0].Created = time.Unix(1, 0) },
			"misordered: order good: its payment was begun"},
		"refunded before it was cancelled": {func(w *world) {
			in := &w.ledger.Orders["refunded"].Intents[0]
			in.Refunds[0].At = in.Charges[1].At
		}, "misordered: order refunded: it was refunded"},
		"refunded twice": {func(w *world) {
			in := &w.ledger.Orders["refunded"].Intents[0]
			in.Refunds = append(in.Refunds, in.Refunds[0])
		}, "refunded_twice: order refunded: the ledger has 2 refunds"},
		"not refunded": {func(w *world) { w.ledger.Orders["refunded"].Intents[0].Refunds = nil },
			"choreography: order refunded: the ledger has 0 refunds"},
		"mail lost": {func(w *world) { w.mails = w.mails[:4] }, "is not in the mailbox"},
		"mail without a fact": {func(w *world) {
			w.mails = append(w.mails, mailbox.Message{ID: 6, MessageID: "another@troupe.example", To: []string{"good@example.com"}})
		}, "mailed_twice: order good: mail another@troupe.example is in the mailbox, and no fact says so"},
		"the same mail under two Message-IDs": {func(w *world) {
			again := w.mails[0]
			again.ID, again.MessageID = 6, "another@troupe.example"
			w.mails = append(w.mails, again)
		}, `mailed_twice: order good: "order good KIND_CONFIRMED" came under 2 Message-IDs`},
		"told twice with two Message-IDs": {func(w *world) {
			w.mail("good", "another cause", notificationv1.Kind_KIND_CONFIRMED)
		}, "mailed_twice: order good: its customer was told KIND_CONFIRMED 2 times"},
		"given up before the deadline": {func(w *world) {
			w.place("hurried")
			w.say("hurried", "order", "deadline", &orderv1.OrderCancelled{Reason: orderv1.CancellationReason_CANCELLATION_REASON_PAYMENT_TIMEOUT})
		}, "misordered: order hurried: its payment was given up"},
		"told of a decline that nobody made": {func(w *world) {
			refused := w.say("untried", "payment", w.place("untried"), &paymentv1.PaymentDeclined{Reason: "payment_timeout"})
			w.say("untried", "order", refused, &orderv1.OrderCancelled{Reason: orderv1.CancellationReason_CANCELLATION_REASON_PAYMENT_DECLINED})
		}, "choreography: order untried: is cancelled for CANCELLATION_REASON_PAYMENT_DECLINED, and its payment was declined for payment_timeout"},
		"not told": {func(w *world) { w.say("declined", "order", "", &orderv1.OrderConfirmed{}) },
			"lost: order declined: its customer was told KIND_CONFIRMED 0 times"},
		"mails swapped":           {func(w *world) { w.mails[2].ID, w.mails[3].ID = 4, 3 }, "misordered: order refunded: mail "},
		"mailed before its cause": {func(w *world) { w.mails[0].Received = time.Unix(1, 0) }, "came before what it tells about"},
		"confirmed and cancelled, not refunded": {func(w *world) {
			w.say("good", "order", w.say("good", "order", "", &orderv1.OrderCancellationRequested{}), &orderv1.OrderCancelled{})
		}, "lost: order good: is cancelled with 1 charges and 0 refunds"},
		"two charges in the log": {func(w *world) {
			w.say("good", "payment", "another cause", &paymentv1.PaymentSucceeded{Amount: 2500})
		}, "charged_twice: order good: was charged 2 times"},
		"two facts for one cause": {func(w *world) {
			w.say("good", "notification", w.heads["goodorder"].ID, &notificationv1.NotificationFailed{})
		}, "choreography: order good: NotificationFailed"},
		"a gap": {func(w *world) {
			w.heads["goodpayment"] = event.Event{ID: "never seen", Sequence: 2}
			w.say("good", "payment", "x", &paymentv1.PaymentRefunded{})
		}, "follows never seen, which is not in the log"},
		"a swap": {func(w *world) {
			head := w.heads["goodpayment"]
			late := event.MakeID("good", "payment", event.TypeOf(&paymentv1.PaymentDeclined{}), "y")
			w.heads["goodpayment"] = event.Event{ID: late, Sequence: 2}
			w.say("good", "payment", "x", &paymentv1.PaymentRefunded{})
			w.heads["goodpayment"] = head
			w.say("good", "payment", "y", &paymentv1.PaymentDeclined{})
		}, "which it follows"},
		"an effect before its cause": {func(w *world) {
			w.clock = time.Unix(1, 0)
			w.say("good", "payment", w.heads["goodorder"].ID, &paymentv1.PaymentRefunded{Amount: 2500})
		}, "before its cause"},
		"a record in another partition": {func(w *world) {
			r := w.log.ReadTopic("order.events.v1")[0]
			w.log.Append(broker.TopicPartition{Topic: r.Topic, Partition: 1 - r.Partition}, r)
		}, "does not lie in the partition of its key"},
		"read model wrong": {func(w *world) { w.said["good"]++; w.reads("good", "confirmed", "succeeded") },
			"read_model: order good: the read model says"},
		"read model without the order": {func(w *world) { delete(w.document, "good") }, "read_model: order good: is not in the read model"},
		"customer reads another status": {func(w *world) { w.reads("good", "placed", "succeeded") },
			"read_model: order good: a customer reads placed"},
		"customer reads another payment": {func(w *world) { w.reads("refunded", "cancelled", "succeeded") },
			"read_model: order refunded: a customer reads cancelled, payment succeeded"},
		"listed twice": {func(w *world) { w.list = append(w.list, "good") }, "read_model: order good: is in the list of orders 2 times"},
		"not listed":   {func(w *world) { w.list = w.list[1:] }, "read_model: order good: is in the list of orders 0 times"},
		"parked": {func(w *world) { w.letter("payment", "good", "order.events.v1", 0, 0) },
			"unexplained_letter: order good: order.events.v1/0@0 was parked in payment.dead-letters.v1: permanent: undecodable"},
		"answered behind a letter": {func(w *world) {
			p := broker.Partition([]byte("refunded"), partitions)
			w.letter("notification", "refunded", "order.events.v1", p, 0)
		}, "misordered: order refunded: troupe.notification.v1.NotificationSent answers order.events.v1/"},
		"request forgotten":    {func(w *world) { w.request("r", "l", "discarded") }, "stuck: order good: request r at payment.redrive.v1/0@0 was never closed"},
		"request closed twice": {func(w *world) { w.request("r", "l", "closed", "closed") }, "choreography: order good: request r at payment.redrive.v1/0@0 was closed 2 times"},
		"letter back twice": {func(w *world) {
			w.request("r", "l", "redriven", "closed")
			w.request("q", "l", "redriven", "closed")
		}, "choreography: order good: letter l of payment.dead-letters.v1 came back 2 times"},
		"poison swallowed": {func(w *world) { w.plant("payment.events.v1", "order") }, "lost: the poison at payment.events.v1/1@"},
		"undecodable record": {func(w *world) {
			w.log.Append(broker.TopicPartition{Topic: "order.events.v1"}, broker.Record{Key: []byte("good"), Value: []byte("?")})
		}, "attribute specversion"},
		"an answer that the choreography does not know": {func(w *world) {
			w.say("good", "payment", w.heads["goodnotification"].ID, &paymentv1.PaymentRefunded{Amount: 2500})
		}, "choreography: order good: PaymentRefunded"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			tt.breakIt(w)
			if r := w.run(); !strings.Contains(texts(r), tt.says) {
				t.Errorf("found\n%s\nwant something with %q", r, tt.says)
			}
		})
	}
}

func texts(r *check.Report) string {
	var b strings.Builder
	for _, v := range r.Violations {
		b.WriteString(v.String() + "\n")
	}
	return b.String()
}

// An order that poison keeps needs not settle, and what waits behind the poison is explained; anything else about it still counts.
func TestAnOrderBehindPoisonIsExplained(t *testing.T) {
	w := newWorld(t)
	w.place("held")
	w.document["held"] = document{ID: "held", Status: "placed", Payment: map[string]string{"status": "pending"}, records: 1}
	w.parked["held"] = true
	w.letter("payment", "held", "order.events.v1", 0, 7)
	if r := w.run(); len(r.Violations) != 0 {
		t.Errorf("found\n%s", r)
	}
	w.ledger.Orders["held"] = gateway.LedgerOrder{Intents: []gateway.LedgerIntent{{Created: w.tick(),
		Charges: []gateway.Charge{{Status: "succeeded", At: w.tick()}, {Status: "succeeded", At: w.tick()}}}}}
	if r := w.run(); len(r.Of(check.ChargedTwice)) != 1 {
		t.Errorf("charged twice, and found\n%s", r)
	}
}

func TestAPaymentThatCameTooLateMayCancelAGoodOrder(t *testing.T) {
	w := newWorld(t)
	w.tooLate("late")
	if r := w.run(); len(r.Violations) != 0 || r.TimedOut != 1 {
		t.Errorf("found\n%s", r)
	}
}
