package check_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/participant"
	notificationv1 "github.com/troupe-dev/troupe/schemas/gen/notification/v1"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	paymentv1 "github.com/troupe-dev/troupe/schemas/gen/payment/v1"
	"github.com/troupe-dev/troupe/services/troupe/check"
	"github.com/troupe-dev/troupe/services/troupe/internal/gateway"
	"github.com/troupe-dev/troupe/services/troupe/internal/mailbox"
	"github.com/troupe-dev/troupe/services/troupe/rest"
	"google.golang.org/protobuf/proto"
)

const partitions = 2

// document is what the read model says of an order, and a customer reads.
type document struct {
	ID      string            `json:"id"`
	Status  string            `json:"status"`
	Settled bool              `json:"settled"`
	Payment map[string]string `json:"payment"`
	records int
}

// world is a system at rest in which everything is right, until a test changes something.
type world struct {
	t        *testing.T
	log      *brokertest.Memory
	heads    map[string]event.Event
	said     map[string]int // records of each order
	ledger   gateway.Ledger
	mails    []mailbox.Message
	document map[string]document
	expected []check.Expected
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, log: brokertest.New(), heads: map[string]event.Event{}, said: map[string]int{}, document: map[string]document{}}
	w.ledger.Orders = map[string]gateway.LedgerOrder{}
	var topics []broker.Topic
	for _, p := range []string{"order", "payment", "notification"} {
		for _, name := range []string{participant.FactsTopic(p), participant.DeadLettersTopic(p)} {
			topics = append(topics, broker.Topic{Name: name, Partitions: partitions})
		}
	}
	if err := w.log.Provision(t.Context(), topics); err != nil {
		t.Fatal(err)
	}
	w.good("good")
	w.declined("declined")
	w.refunded("refunded")
	return w
}

// say appends what a participant says about an order in answer to cause, and returns its id.
func (w *world) say(order, source, cause string, body proto.Message) string {
	w.t.Helper()
	head := w.heads[order+source]
	e := event.Event{ID: event.MakeID(order, source, event.TypeOf(body), cause), Type: event.TypeOf(body), Source: source, Subject: order,
		Time: time.Unix(1, 0), CausationID: cause}
	if _, request := body.(*orderv1.OrderCancellationRequested); !request {
		e.Sequence, e.PreviousID = head.Sequence+1, head.ID
		w.heads[order+source] = e
	}
	w.append(e, source, body)
	w.said[order]++
	return e.ID
}

func (w *world) append(e event.Event, source string, body proto.Message) {
	w.t.Helper()
	var err error
	if e.Data, err = event.Encode(body); err != nil {
		w.t.Fatal(err)
	}
	tp := broker.TopicPartition{Topic: participant.FactsTopic(source), Partition: broker.Partition([]byte(e.Subject), partitions)}
	w.log.Append(tp, event.ToRecord(e, tp.Topic, tp.Partition))
}

func (w *world) place(id string) string {
	w.expected = append(w.expected, check.Expected{ID: id, Total: 2500, Currency: "EUR"})
	return w.say(id, "order", "", &orderv1.OrderPlaced{Total: 2500, Currency: "EUR"})
}

// reads sets what the read model says of an order, from what was said of it.
func (w *world) reads(id, status, payment string) {
	w.document[id] = document{ID: id, Status: status, Settled: true, Payment: map[string]string{"status": payment}, records: w.said[id]}
}

func (w *world) last() *check.Expected { return &w.expected[len(w.expected)-1] }

func (w *world) good(id string) (confirmed string) {
	paid := w.say(id, "payment", w.place(id), &paymentv1.PaymentSucceeded{Amount: 2500, Currency: "EUR"})
	w.ledger.Orders[id] = gateway.LedgerOrder{Intents: []gateway.LedgerIntent{{
		Charges: []gateway.LedgerCharge{{Status: "failed", Amount: 2500}, {Status: "succeeded", Amount: 2500}}}}}
	confirmed = w.say(id, "order", paid, &orderv1.OrderConfirmed{Total: 2500})
	w.mail(id, confirmed, notificationv1.Kind_KIND_CONFIRMED)
	w.reads(id, "confirmed", "succeeded")
	return confirmed
}

func (w *world) declined(id string) {
	refused := w.say(id, "payment", w.place(id), &paymentv1.PaymentDeclined{Reason: "card_declined"})
	w.last().Declined = true
	w.ledger.Orders[id] = gateway.LedgerOrder{Intents: []gateway.LedgerIntent{{Charges: []gateway.LedgerCharge{{Status: "failed", Amount: 2500}}}}}
	cancelled := w.say(id, "order", refused, &orderv1.OrderCancelled{Reason: orderv1.CancellationReason_CANCELLATION_REASON_PAYMENT_DECLINED})
	w.mail(id, cancelled, notificationv1.Kind_KIND_CANCELLED)
	w.reads(id, "cancelled", "declined")
}

func (w *world) refunded(id string) {
	w.good(id)
	w.last().CancelAsked = true
	asked := w.say(id, "order", "", &orderv1.OrderCancellationRequested{})
	cancelled := w.say(id, "order", asked, &orderv1.OrderCancelled{Reason: orderv1.CancellationReason_CANCELLATION_REASON_CUSTOMER})
	back := w.say(id, "payment", cancelled, &paymentv1.PaymentRefunded{Amount: 2500, Currency: "EUR"})
	w.ledger.Orders[id].Intents[0].Refunds = []gateway.LedgerRefund{{Status: "succeeded", Amount: 2500}}
	w.mail(id, cancelled, notificationv1.Kind_KIND_CANCELLED)
	w.mail(id, back, notificationv1.Kind_KIND_REFUNDED)
	w.reads(id, "cancelled", "refunded")
}

func (w *world) mail(id, cause string, kind notificationv1.Kind) {
	message := cause + "@troupe.example"
	w.say(id, "notification", cause, &notificationv1.NotificationSent{Kind: kind, MessageId: "<" + message + ">"})
	w.mails = append(w.mails, mailbox.Message{ID: int64(len(w.mails) + 1), MessageID: message})
}

func (w *world) run() *check.Report {
	w.t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/ledger", func(rw http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(rw).Encode(w.ledger) })
	mux.HandleFunc("/api/messages", func(rw http.ResponseWriter, r *http.Request) { // two to a page
		after, _ := strconv.Atoi(r.FormValue("after"))
		l := mailbox.List{Total: len(w.mails), Messages: w.mails[after:min(after+2, len(w.mails))]}
		if after+2 < len(w.mails) {
			l.NextAfter = int64(after + 2)
		}
		_ = json.NewEncoder(rw).Encode(l)
	})
	mux.HandleFunc("/orders/{id}", func(rw http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(rw).Encode(w.document[r.PathValue("id")])
	})
	srv := httptest.NewServer(mux)
	defer srv.Close()
	read := func(_ context.Context, id string) (any, bool, error) {
		d, ok := w.document[id]
		return d.records, ok, nil
	}
	fold := func(records []broker.Record) any { // as a fold does: copies change nothing
		ids := map[string]bool{}
		for _, r := range records {
			e, _ := event.FromRecord(r)
			ids[e.ID] = true
		}
		return len(ids)
	}
	r, err := check.Run(w.t.Context(), check.System{Log: w.log, Partitions: partitions, Orders: rest.New(srv.URL, srv.URL),
		Gateway: srv.URL, Mailbox: srv.URL, Read: read, Fold: fold}, w.expected)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func TestFindsNothingWhereEverythingIsRight(t *testing.T) {
	w := newWorld(t)
	w.mails = append(w.mails, mailbox.Message{ID: int64(len(w.mails) + 1), MessageID: w.mails[0].MessageID}) // a resend
	tp := broker.TopicPartition{Topic: "order.events.v1", Partition: broker.Partition([]byte("good"), partitions)}
	w.log.Append(tp, w.log.Read(tp)[0]) // a copy
	r := w.run()
	if len(r.Violations) > 0 {
		t.Fatalf("found\n%s", r)
	}
	want := "orders 3: 1 confirmed, 2 cancelled\nledger: 2 charges, 3 declines, 1 refunds\n" +
		"mails: 5, and 1 copies with the same Message-ID\nlog: 18 records, 1 of them copies, 0 void; 0 dead letters\nviolations: 0\n"
	if got := r.String(); got != want {
		t.Errorf("report\n%s\nwant\n%s", got, want)
	}
}

// Each row breaks one promise; the checker must say so.
func TestFindsEveryBrokenPromise(t *testing.T) {
	for name, tt := range map[string]struct {
		breakIt func(*world)
		says    string
	}{
		"lost order":             {func(w *world) { w.expected = append(w.expected, check.Expected{ID: "lost"}) }, "order lost was answered with 202 and is in the log 0 times"},
		"invented order":         {func(w *world) { w.expected = w.expected[1:] }, "order good is in the log, but nobody was promised it"},
		"unsettled order":        {func(w *world) { w.place("open") }, "order open is neither confirmed nor cancelled"},
		"cancellation forgotten": {func(w *world) { w.expected[0].CancelAsked = true }, "order good is not cancelled"},
		"declined card accepted": {func(w *world) { w.expected[0].Declined = true }, "order good has a declined card"},
		"good card refused":      {func(w *world) { w.expected[1].Declined = false }, "order declined has a good card and is not confirmed"},
		"charged twice": {func(w *world) {
			in := &w.ledger.Orders["good"].Intents[0]
			in.Charges = append(in.Charges, in.Charges[1])
		}, "order good: the ledger has 2 charges"},
		"charged the wrong sum": {func(w *world) { w.ledger.Orders["good"].Intents[0].Charges[1].Amount = 1 }, "order good: the ledger has 1 charges over 1"},
		"charge forgotten":      {func(w *world) { delete(w.ledger.Orders, "good") }, "order good: the ledger has 0 charges"},
		"charge of a stranger":  {func(w *world) { w.ledger.Orders[""] = w.ledger.Orders["good"] }, `the ledger has an order ""`},
		"refunded twice": {func(w *world) {
			in := &w.ledger.Orders["refunded"].Intents[0]
			in.Refunds = append(in.Refunds, in.Refunds[0])
		}, "order refunded: the ledger has 2 refunds"},
		"not refunded": {func(w *world) { w.ledger.Orders["refunded"].Intents[0].Refunds = nil }, "order refunded: the ledger has 0 refunds"},
		"mail lost":    {func(w *world) { w.mails = w.mails[:4] }, "is not in the mailbox"},
		"mail without a fact": {func(w *world) {
			w.mails = append(w.mails, mailbox.Message{ID: 6, MessageID: "another@troupe.example"})
		}, "mail another@troupe.example is in the mailbox, and no fact says so"},
		"told twice with two Message-IDs": {func(w *world) {
			w.mail("good", "another cause", notificationv1.Kind_KIND_CONFIRMED)
		}, "its customer was told KIND_CONFIRMED 2 times"},
		"confirmed and cancelled, not refunded": {func(w *world) {
			w.say("good", "order", w.say("good", "order", "", &orderv1.OrderCancellationRequested{}), &orderv1.OrderCancelled{})
		}, "order good is cancelled with 1 charges and 0 refunds"},
		"two charges in the log": {func(w *world) {
			w.say("good", "payment", "another cause", &paymentv1.PaymentSucceeded{Amount: 2500})
		}, "order good was charged 2 times"},
		"read model wrong":               {func(w *world) { w.said["good"]++; w.reads("good", "confirmed", "succeeded") }, "order good: the read model says"},
		"read model without the order":   {func(w *world) { delete(w.document, "good") }, "order good is not in the read model"},
		"customer reads another status":  {func(w *world) { w.reads("good", "placed", "succeeded") }, "order good: a customer reads placed"},
		"customer reads another payment": {func(w *world) { w.reads("refunded", "cancelled", "succeeded") }, "order refunded: a customer reads cancelled, payment succeeded"},
		"parked": {func(w *world) {
			w.log.Append(broker.TopicPartition{Topic: participant.DeadLettersTopic("payment")}, broker.Record{Key: []byte("good")})
		}, "1 records are parked"},
		"undecodable record": {func(w *world) {
			w.log.Append(broker.TopicPartition{Topic: "order.events.v1"}, broker.Record{Key: []byte("good"), Value: []byte("?")})
		}, "attribute specversion"},
		"an answer that the choreography does not know": {func(w *world) {
			w.say("good", "payment", w.heads["goodnotification"].ID, &paymentv1.PaymentRefunded{Amount: 2500})
		}, "order good"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			tt.breakIt(w)
			if r := w.run(); !strings.Contains(strings.Join(r.Violations, "\n"), tt.says) {
				t.Errorf("found\n%s\nwant something with %q", r, tt.says)
			}
		})
	}
}
