package check_test

import (
	"slices"
	"testing"

	"github.com/troupe-dev/troupe/schemas/check"
	notificationv1 "github.com/troupe-dev/troupe/schemas/gen/notification/v1"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	paymentv1 "github.com/troupe-dev/troupe/schemas/gen/payment/v1"
)

func TestACleanLogIsClean(t *testing.T) {
	w := newWorld(t)
	w.Mails = append(w.Mails, w.Mails[0])       // sent again with the same Message-ID
	w.Records = append(w.Records, w.Records...) // every record a second time, as a producer's retry does
	r := w.judge()
	if len(r.Violations) > 0 || r.Confirmed != 1 || r.Cancelled != 2 || r.Settle.Max <= 0 ||
		r.RecordCopies != len(w.Records)/2 || r.MailCopies != 1 {
		t.Errorf("found\n%s", r)
	}
}

// planted has, for each rule of the checker, how to break it in the recorded log.
var planted = map[string]func(w *world){
	"every record is an event, poison, or a copy": func(w *world) {
		w.append("order.events.v1", w.good, []byte("?"), nil)
	},
	"a record lies in the partition of its key": func(w *world) {
		w.Records[len(w.Records)-1].Partition++
	},
	"the choreography knows the step": func(w *world) {
		w.say(w.declined, "payment", w.id(w.declined, "OrderPlaced", 0), &paymentv1.PaymentSucceeded{Amount: 2500})
	},
	"a fact's cause is in the log": func(w *world) {
		w.say(w.good, "notification", "nobody", &notificationv1.NotificationFailed{})
	},
	"nothing waits at the end": func(w *world) {
		w.drop(w.of(w.good, "NotificationSent", 0))
	},
	"a fact lies behind the one that it follows": swap,
	"the fact that another follows is in the log": func(w *world) {
		w.drop(w.of(w.refunded, "PaymentSucceeded", 0))
	},
	"no fact is decided before its cause": func(w *world) {
		w.of(w.good, "PaymentSucceeded", 0).Headers["ce_time"] = "2001-01-01T00:00:00Z"
	},
	"no order is in the log that nobody was promised": func(w *world) {
		w.expected = w.expected[1:]
	},
	"an order that was taken is in the log": func(w *world) {
		w.expected = append(w.expected, check.Expected{ID: "lost"})
	},
	"an order is placed, confirmed, cancelled and declined once": func(w *world) {
		w.say(w.good, "order", "x", &orderv1.OrderConfirmed{Total: 2500})
	},
	"an order is charged once, says the log": func(w *world) {
		w.say(w.good, "payment", "x", &paymentv1.PaymentSucceeded{Amount: 2500})
	},
	"an order is refunded once, says the log": func(w *world) {
		w.say(w.refunded, "payment", "x", &paymentv1.PaymentRefunded{Amount: 2500})
	},
	"a cancellation tells the reason of the decline": func(w *world) {
		w.decline("payment_timeout")
	},
	"a payment is given up after its deadline": func(w *world) {
		w.decline("payment_timeout")
	},
	"a cancelled order keeps no money": func(w *world) {
		w.drop(w.of(w.refunded, "PaymentRefunded", 0))
	},
	"a cancelled order has one answer to its payment": func(w *world) {
		w.drop(w.of(w.declined, "PaymentDeclined", 0))
	},
	"a confirmed order is paid and not refunded": func(w *world) {
		w.drop(w.of(w.good, "PaymentSucceeded", 0))
	},
	"an order is confirmed or cancelled at the end": func(w *world) {
		w.drop(w.of(w.good, "OrderConfirmed", 0))
	},
	"a promised cancellation happens": func(w *world) {
		w.expect(w.good).CancelAsked = true
	},
	"a declined card buys nothing": func(w *world) {
		w.expect(w.good).Declined = true
	},
	"a good card is not refused": func(w *world) {
		w.expect(w.declined).Declined = false
	},
	"what was charged is the order's total, says the log": func(w *world) {
		w.expect(w.good).Total = 1
	},
	"what was refunded is the order's total, says the log": func(w *world) {
		w.expect(w.refunded).Total = 1
	},
	"a customer is told once of each end, says the log": func(w *world) {
		w.say(w.good, "notification", "x", w.confirmed("y"))
	},
	"a customer is told of each end, says the log": func(w *world) {
		w.drop(w.of(w.good, "NotificationSent", 0))
	},
	"no money moves for an order that nobody was promised": func(w *world) {
		w.Ledger.Orders["who"] = w.Ledger.Orders[w.good]
	},
	"an order is charged once, says the ledger": func(w *world) {
		w.charge(w.good)
	},
	"an order is refunded once, says the ledger": func(w *world) {
		in := w.intent(w.refunded)
		in.Refunds = append(in.Refunds, in.Refunds[0])
	},
	"the log knows every charge": func(w *world) {
		w.intent(w.declined).Charges[0].Status = "succeeded"
	},
	"what the log calls charged is charged": func(w *world) {
		delete(w.Ledger.Orders, w.good)
	},
	"the log knows every refund": func(w *world) {
		in := w.intent(w.good)
		in.Refunds = append(in.Refunds, w.intent(w.refunded).Refunds[0])
	},
	"what the log calls refunded is refunded": func(w *world) {
		w.intent(w.refunded).Refunds = nil
	},
	"no money moves before there was a reason": func(w *world) {
		w.intent(w.good).Created = longAgo
	},
	"nobody is charged at the word of a log that is gone": func(w *world) {
		w.goes()
		w.charge(w.good)
	},
	"nobody is refunded at the word of a log that is gone": func(w *world) {
		w.goes()
		w.intent(w.refunded).Refunds = nil
	},
	"a Message-ID is of one fact": func(w *world) {
		w.say(w.declined, "notification", "x", w.confirmed(w.mailOf(w.good, 0).MessageID))
	},
	"a mail that was sent is in the mailbox": func(w *world) {
		w.Mails = w.Mails[1:]
	},
	"an order's mails come in the order of their causes": func(w *world) {
		w.mailOf(w.refunded, 0).ID = 100
	},
	"a mail comes after what it tells about": func(w *world) {
		w.mailOf(w.good, 0).Received = longAgo
	},
	"the log knows every mail": func(w *world) {
		w.Mails = append(w.Mails, check.Mail{ID: 100, MessageID: "another"})
	},
	"nobody is told the same under two Message-IDs": twiceMailed,
	"only poison, what is deferred, and what waits behind either is parked": func(w *world) {
		w.letter("order", w.good, w.of(w.good, "PaymentSucceeded", 0))
	},
	"poison is parked by all who read it": func(w *world) {
		w.append("payment.events.v1", "p", []byte("?"), map[string]string{check.PoisonHeader: "order, notification"})
	},
	"nobody answers what lies behind a dead letter": func(w *world) {
		w.letter("notification", w.refunded, w.of(w.refunded, "OrderPlaced", 0))
	},
	"a request about dead letters is closed": func(w *world) {
		w.request("r", "discarded")
	},
	"a request about dead letters is closed once": func(w *world) {
		w.request("r", "closed", "closed")
	},
	"a dead letter comes back once": func(w *world) {
		w.request("r", "redriven", "closed")
		w.request("q", "redriven", "closed")
	},
	"an order is in the read model": func(w *world) {
		w.documents[w.good] = check.Document{Missing: true, Listed: 1}
	},
	"the read model is a fold of the log": func(w *world) {
		w.documents[w.good] = check.Document{Differs: "it has another total", Listed: 1}
	},
	"an order can be read": func(w *world) {
		w.documents[w.good] = check.Document{Refused: "500", Listed: 1}
	},
	"a customer reads what the log says": func(w *world) {
		w.documents[w.good] = check.Document{Status: "placed", Payment: "pending", Listed: 1}
	},
	"an order is listed once": func(w *world) {
		d := w.documents[w.good]
		d.Listed = 2
		w.documents[w.good] = d
	},
}

func TestEveryRuleFindsWhatBreaksIt(t *testing.T) {
	known := map[string]bool{}
	for _, rule := range check.Rules {
		if known[rule.Name] {
			t.Errorf("two rules are called %q", rule.Name)
		}
		known[rule.Name] = true
		plant, ok := planted[rule.Name]
		if !ok {
			t.Errorf("nothing is planted for the rule %q", rule.Name)
			continue
		}
		t.Run(rule.Name, func(t *testing.T) {
			w := newWorld(t)
			plant(w)
			r := w.judge()
			if !slices.ContainsFunc(r.Violations, func(v check.Violation) bool {
				return v.Rule == rule.Name && v.Guarantee == rule.Keeps && v.Text != ""
			}) {
				t.Errorf("it is broken, and was found\n%s", r)
			}
		})
	}
	for name := range planted {
		if !known[name] {
			t.Errorf("there is no rule %q", name)
		}
	}
	for _, g := range check.Guarantees {
		if g != check.NotProven && !slices.ContainsFunc(check.Rules, func(r check.Rule) bool { return r.Keeps == g }) {
			t.Errorf("no rule looks after %s", g)
		}
	}
}

// swap lets the last two facts of a chain change their places.
func swap(w *world) {
	a, b := w.of(w.refunded, "PaymentSucceeded", 0), w.of(w.refunded, "PaymentRefunded", 0)
	a.Offset, b.Offset, *a, *b = b.Offset, a.Offset, *b, *a
}

func (w *world) decline(reason string) {
	edit(w, w.of(w.declined, "PaymentDeclined", 0), &paymentv1.PaymentDeclined{},
		func(d *paymentv1.PaymentDeclined) { d.Reason = reason })
}

func (w *world) confirmed(message string) *notificationv1.NotificationSent {
	return &notificationv1.NotificationSent{Kind: notificationv1.Kind_KIND_CONFIRMED, MessageId: "<" + message + ">"}
}

func (w *world) charge(order string) {
	in := w.intent(order)
	in.Charges = append(in.Charges, in.Charges[0])
}

// goes lets the log be gone, and another one empty.
func (w *world) goes() {
	before := newWorld(w.t)
	w.gone, w.Records, w.expected, w.documents = check.GoneWith(before.Ledger, before.Mails), nil, nil, nil
}

func twiceMailed(w *world) {
	w.expect(w.good).Email = "good@example.com"
	again := w.mailOf(w.good, 0)
	again.To = []string{"good@example.com"}
	w.Mails = append(w.Mails, check.Mail{ID: 100, MessageID: "another", Subject: again.Subject, To: again.To})
}

// Ended and Paid find of one order what Judge finds of all.
func TestOneOrderAtItsEnd(t *testing.T) {
	ended := func(w *world) (found []check.Violation) {
		k := w.checker()
		for _, r := range w.Records {
			k.Take(r.record())
		}
		for _, e := range w.expected {
			o := k.Order(e.ID)
			found = slices.Concat(found, o.Ended(e), o.Paid(e, w.Ledger.Orders[e.ID]))
		}
		return found
	}
	if found := ended(newWorld(t)); len(found) > 0 {
		t.Errorf("a clean log has %v", found)
	}
	for _, rule := range []string{
		"the choreography knows the step", "a fact's cause is in the log", "nothing waits at the end", "an order that was taken is in the log",
		"a cancelled order keeps no money", "an order is charged once, says the ledger", "the log knows every charge",
		"no money moves before there was a reason",
	} {
		w := newWorld(t)
		planted[rule](w)
		if !slices.ContainsFunc(ended(w), func(v check.Violation) bool { return v.Rule == rule }) {
			t.Errorf("%q is broken, and found are %v", rule, ended(w))
		}
	}
}
