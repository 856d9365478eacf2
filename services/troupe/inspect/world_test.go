package inspect_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/participant"
	"github.com/troupe-dev/troupe/schemas/check"
	notificationv1 "github.com/troupe-dev/troupe/schemas/gen/notification/v1"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	paymentv1 "github.com/troupe-dev/troupe/schemas/gen/payment/v1"
	"github.com/troupe-dev/troupe/services/troupe/inspect"
	"github.com/troupe-dev/troupe/services/troupe/internal/gateway"
	"github.com/troupe-dev/troupe/services/troupe/internal/mailbox"
	"github.com/troupe-dev/troupe/services/troupe/rest"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
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
	list     []string // ids as they are listed
	expected []check.Expected
	parked   map[string]bool
	gone     check.Gone
	clock    time.Time
}

// logOf reads the memory as a log is read.
type logOf struct{ *brokertest.Memory }

func (l logOf) Topic(_ context.Context, topic string, _ int) ([]broker.Record, error) {
	return l.ReadTopic(topic), nil
}

func (l logOf) Ends(context.Context, []string) (map[broker.TopicPartition]int64, error) {
	return nil, errors.New("nobody waits here")
}

func (l logOf) Committed(context.Context, string) (map[broker.TopicPartition]int64, error) {
	return nil, errors.New("nobody waits here")
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, log: brokertest.New(), heads: map[string]event.Event{}, said: map[string]int{}, document: map[string]document{},
		parked: map[string]bool{}, clock: time.Unix(1000, 0).UTC()}
	w.ledger.Orders = map[string]gateway.LedgerOrder{}
	w.provision()
	w.good("good")
	w.declined("declined")
	w.refunded("refunded")
	return w
}

func (w *world) provision() {
	w.t.Helper()
	var topics []broker.Topic
	for _, p := range []string{"order", "payment", "notification"} {
		for _, name := range []string{participant.FactsTopic(p), participant.DeadLettersTopic(p), p + ".redrive.v1"} {
			topics = append(topics, broker.Topic{Name: name, Partitions: partitions})
		}
	}
	if err := w.log.Provision(w.t.Context(), topics); err != nil {
		w.t.Fatal(err)
	}
}

// say appends what a participant says about an order in answer to cause, and returns its id.
func (w *world) say(order, source, cause string, body proto.Message) string {
	w.t.Helper()
	head := w.heads[order+source]
	e := event.Event{ID: event.MakeID(order, source, event.TypeOf(body), cause), Type: event.TypeOf(body), Source: source, Subject: order,
		Time: w.tick(), CausationID: cause}
	if _, request := body.(*orderv1.OrderCancellationRequested); !request {
		e.Sequence, e.PreviousID = head.Sequence+1, head.ID
		w.heads[order+source] = e
	}
	w.append(e, source, body)
	w.said[order]++
	return e.ID
}

// tick is the next moment.
func (w *world) tick() time.Time {
	w.clock = w.clock.Add(time.Millisecond)
	return w.clock
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
	w.expected = append(w.expected, check.Expected{ID: id, Total: 2500, Currency: "EUR", Email: id + "@example.com"})
	w.list = append(w.list, id)
	return w.say(id, "order", "", &orderv1.OrderPlaced{Total: 2500, Currency: "EUR",
		PaymentDeadline: timestamppb.New(w.clock.Add(time.Hour))})
}

// reads sets what the read model says of an order, from what was said of it.
func (w *world) reads(id, status, payment string) {
	w.document[id] = document{ID: id, Status: status, Settled: true, Payment: map[string]string{"status": payment}, records: w.said[id]}
}

func (w *world) last() *check.Expected { return &w.expected[len(w.expected)-1] }

func (w *world) good(id string) (confirmed string) {
	placed := w.place(id)
	w.ledger.Orders[id] = gateway.LedgerOrder{Intents: []gateway.LedgerIntent{{Created: w.tick(),
		Charges: []gateway.Charge{{Status: "failed", Amount: 2500, At: w.tick()}, {Status: "succeeded", Amount: 2500, At: w.tick()}}}}}
	paid := w.say(id, "payment", placed, &paymentv1.PaymentSucceeded{Amount: 2500, Currency: "EUR"})
	confirmed = w.say(id, "order", paid, &orderv1.OrderConfirmed{Total: 2500})
	w.mail(id, confirmed, notificationv1.Kind_KIND_CONFIRMED)
	w.reads(id, "confirmed", "succeeded")
	return confirmed
}

func (w *world) declined(id string) {
	placed := w.place(id)
	w.last().Declined = true
	w.ledger.Orders[id] = gateway.LedgerOrder{Intents: []gateway.LedgerIntent{{Created: w.tick(),
		Charges: []gateway.Charge{{Status: "failed", Amount: 2500, At: w.tick()}}}}}
	refused := w.say(id, "payment", placed, &paymentv1.PaymentDeclined{Reason: "card_declined"})
	cancelled := w.say(id, "order", refused, &orderv1.OrderCancelled{Reason: orderv1.CancellationReason_CANCELLATION_REASON_PAYMENT_DECLINED})
	w.mail(id, cancelled, notificationv1.Kind_KIND_CANCELLED)
	w.reads(id, "cancelled", "declined")
}

func (w *world) refunded(id string) {
	w.good(id)
	w.last().CancelAsked = true
	asked := w.say(id, "order", "", &orderv1.OrderCancellationRequested{})
	cancelled := w.say(id, "order", asked, &orderv1.OrderCancelled{Reason: orderv1.CancellationReason_CANCELLATION_REASON_CUSTOMER})
	w.ledger.Orders[id].Intents[0].Refunds = []gateway.LedgerRefund{{Status: "succeeded", Amount: 2500, At: w.tick()}}
	back := w.say(id, "payment", cancelled, &paymentv1.PaymentRefunded{Amount: 2500, Currency: "EUR"})
	w.mail(id, cancelled, notificationv1.Kind_KIND_CANCELLED)
	w.mail(id, back, notificationv1.Kind_KIND_REFUNDED)
	w.reads(id, "cancelled", "refunded")
}

func (w *world) mail(id, cause string, kind notificationv1.Kind) {
	message := cause + "@troupe.example"
	w.say(id, "notification", cause, &notificationv1.NotificationSent{Kind: kind, MessageId: "<" + message + ">"})
	w.mails = append(w.mails, mailbox.Message{ID: int64(len(w.mails) + 1), MessageID: message, Received: w.tick(),
		To: []string{id + "@example.com"}, Subject: "order " + id + " " + kind.String()})
}

// plant appends poison that all must park, and has it parked by some.
func (w *world) plant(topic string, by ...string) {
	tp := broker.TopicPartition{Topic: topic, Partition: 1}
	mark := []string{check.PoisonHeader, "order,payment,notification"}
	at := w.log.Append(tp, broker.Record{Key: []byte("poison"), Value: []byte("?"), Headers: broker.HeadersOf(mark...)})
	for _, p := range by {
		w.letter(p, "poison", topic, 1, at, mark...)
	}
}

func (w *world) letter(by, key, topic string, partition int, offset int64, more ...string) {
	w.log.Append(broker.TopicPartition{Topic: participant.DeadLettersTopic(by), Partition: partition}, broker.Record{Key: []byte(key),
		Headers: broker.HeadersOf(append(more, "__dlq.record", "letter", "__dlq.errors.topic", topic,
			"__dlq.errors.partition", strconv.Itoa(partition), "__dlq.errors.offset", strconv.FormatInt(offset, 10),
			"__dlq.errors.class", "permanent", "__dlq.errors.message", "undecodable")...)})
}

func (w *world) run() *check.Report {
	w.t.Helper()
	s, end := w.system()
	defer end()
	r, err := inspect.Run(w.t.Context(), s, w.expected)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// system is how it looks from outside, until end is called.
func (w *world) system() (s inspect.System, end func()) {
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
	mux.HandleFunc("/orders", func(rw http.ResponseWriter, r *http.Request) { // one to a page
		at, _ := strconv.Atoi(r.FormValue("page_token"))
		page := map[string]any{"orders": []any{}}
		if at < len(w.list) {
			page = map[string]any{"orders": []any{map[string]string{"id": w.list[at]}}, "next_page_token": strconv.Itoa(at + 1)}
		}
		_ = json.NewEncoder(rw).Encode(page)
	})
	srv := httptest.NewServer(mux)
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
	return inspect.System{Log: logOf{w.log}, Parked: w.parked, Gone: w.gone, Partitions: partitions, Orders: rest.New(srv.URL, srv.URL),
		Gateway: srv.URL, Mailbox: srv.URL, Read: read, Fold: fold}, srv.Close
}

// request asks for something, and says what became of it.
func (w *world) request(id, letter string, outcomes ...string) {
	w.log.Append(broker.TopicPartition{Topic: "payment.redrive.v1"}, broker.Record{Key: []byte("good"), Headers: broker.HeadersOf("ce_id", id)})
	for n, outcome := range outcomes {
		w.log.Append(broker.TopicPartition{Topic: participant.DeadLettersTopic("payment")}, broker.Record{Key: []byte("good"),
			Headers: broker.HeadersOf("ce_id", id+strconv.Itoa(n), "ce_causationid", id, "__dlq.record", outcome, "__dlq.id", letter)})
	}
}

// tooLate is an order that nobody paid in time.
func (w *world) tooLate(id string) {
	placed := w.place(id)
	w.clock = w.clock.Add(2 * time.Hour)
	refused := w.say(id, "payment", placed, &paymentv1.PaymentDeclined{Reason: "payment_timeout"})
	cancelled := w.say(id, "order", refused, &orderv1.OrderCancelled{Reason: orderv1.CancellationReason_CANCELLATION_REASON_PAYMENT_TIMEOUT})
	w.mail(id, cancelled, notificationv1.Kind_KIND_CANCELLED)
	w.reads(id, "cancelled", "declined")
}
