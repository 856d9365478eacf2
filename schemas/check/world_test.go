package check_test

import (
	"encoding/json"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/schemas/check"
	"github.com/troupe-dev/troupe/schemas/choreography"
	notificationv1 "github.com/troupe-dev/troupe/schemas/gen/notification/v1"
	"google.golang.org/protobuf/proto"
)

// world is what a playground held after `troupe demo`: a good card, a declined card, and an order cancelled after its
// payment. testdata/recorded.json was read from it by a plain consumer, from the gateway's ledger and from the mailbox.
type world struct {
	t       *testing.T
	Records []record     `json:"records"`
	Ledger  check.Ledger `json:"ledger"`
	Mails   []check.Mail `json:"mails"`

	good, declined, refunded string // ids of the orders
	expected                 []check.Expected
	documents                map[string]check.Document
	parked                   map[string]bool
	gone                     check.Gone
}

type record struct {
	Topic     string            `json:"topic"`
	Partition int               `json:"partition"`
	Offset    int64             `json:"offset"`
	Key       string            `json:"key"`
	Value     []byte            `json:"value"`
	Headers   map[string]string `json:"headers"`
}

func (r record) typ() string {
	return r.Headers["ce_type"][strings.LastIndexByte(r.Headers["ce_type"], '.')+1:]
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, documents: map[string]check.Document{}, parked: map[string]bool{}}
	raw, err := os.ReadFile("testdata/recorded.json")
	if err == nil {
		err = json.Unmarshal(raw, w)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range w.Records {
		switch r.typ() {
		case "PaymentDeclined":
			w.declined = r.Key
		case "PaymentRefunded":
			w.refunded = r.Key
		}
	}
	for _, r := range w.Records {
		if r.typ() == "OrderPlaced" && r.Key != w.declined && r.Key != w.refunded {
			w.good = r.Key
		}
	}
	for id, read := range map[string][2]string{
		w.good: {"confirmed", "succeeded"}, w.declined: {"cancelled", "declined"}, w.refunded: {"cancelled", "refunded"},
	} {
		w.expected = append(w.expected, check.Expected{
			ID: id, Total: 2500, Currency: "EUR", Declined: id == w.declined, CancelAsked: id == w.refunded,
		})
		w.documents[id] = check.Document{Status: read[0], Payment: read[1], Settled: true, Listed: 1}
	}
	return w
}

// expect is what a customer was promised.
func (w *world) expect(id string) *check.Expected {
	return &w.expected[slices.IndexFunc(w.expected, func(e check.Expected) bool { return e.ID == id })]
}

// of returns the nth record of a type about an order, from 0.
func (w *world) of(order, typ string, nth int) *record {
	w.t.Helper()
	for i, r := range w.Records {
		if r.Key == order && r.typ() == typ {
			if nth--; nth < 0 {
				return &w.Records[i]
			}
		}
	}
	w.t.Fatalf("no %s of %s", typ, order)
	return nil
}

// drop takes a record out of the log.
func (w *world) drop(r *record) {
	at := *r
	w.Records = slices.DeleteFunc(w.Records, func(r record) bool {
		return r.Topic == at.Topic && r.Partition == at.Partition && r.Offset == at.Offset
	})
}

// edit changes a record's body.
func edit[M proto.Message](w *world, r *record, body M, change func(M)) {
	w.t.Helper()
	if err := proto.Unmarshal(r.Value, body); err != nil {
		w.t.Fatal(err)
	}
	change(body)
	r.Value = w.encode(body)
}

func (w *world) encode(body proto.Message) []byte {
	w.t.Helper()
	raw, err := proto.Marshal(body)
	if err != nil {
		w.t.Fatal(err)
	}
	return raw
}

// append puts a record at the end of its partition, which is that of its key.
func (w *world) append(topic, key string, value []byte, headers map[string]string) *record {
	r := record{topic, partition(w)([]byte(key)), 0, key, value, headers}
	for _, other := range w.Records {
		if other.Topic == topic && other.Partition == r.Partition {
			r.Offset = max(r.Offset, other.Offset+1)
		}
	}
	w.Records = append(w.Records, r)
	return &w.Records[len(w.Records)-1]
}

// say appends a fact of an order in answer to a cause, long after everything else.
func (w *world) say(order, source, cause string, body proto.Message) *record {
	var head record
	for _, r := range w.Records {
		if r.Key == order && r.Topic == source+".events.v1" && r.Headers["ce_sequence"] > head.Headers["ce_sequence"] {
			head = r
		}
	}
	n, _ := strconv.Atoi(head.Headers["ce_sequence"])
	return w.append(source+".events.v1", order, w.encode(body), map[string]string{
		"ce_specversion": "1.0", "ce_id": "made-" + strconv.Itoa(len(w.Records)), "ce_source": source, "ce_subject": order,
		"ce_type": string(body.ProtoReflect().Descriptor().FullName()), "ce_time": "2030-01-01T00:00:00Z",
		"content-type": "application/protobuf",
		"ce_sequence":  strconv.Itoa(n + 1), "ce_previousid": head.Headers["ce_id"], "ce_causationid": cause,
	})
}

// id of an event in the log.
func (w *world) id(order, typ string, nth int) string { return w.of(order, typ, nth).Headers["ce_id"] }

// letter parks what lies somewhere.
func (w *world) letter(by, key string, of *record) {
	w.append(check.LettersTopic(by), key, nil, map[string]string{
		"__dlq.record": "letter", "__dlq.id": "l", "__dlq.errors.topic": of.Topic,
		"__dlq.errors.partition": strconv.Itoa(of.Partition),
		"__dlq.errors.offset":    strconv.FormatInt(of.Offset, 10),
		"__dlq.errors.class":     "permanent", "__dlq.errors.message": "planted",
	})
}

// request asks payment about a letter of the good order, and says what became of it.
func (w *world) request(id string, outcomes ...string) {
	w.append(check.RequestsTopic("payment"), w.good, nil, map[string]string{"ce_id": id})
	for n, outcome := range outcomes {
		w.append(check.LettersTopic("payment"), w.good, nil, map[string]string{
			"__dlq.record": outcome, "__dlq.id": "l", "ce_id": id + strconv.Itoa(n), "ce_causationid": id,
		})
	}
}

// intent of the ledger.
func (w *world) intent(order string) *check.Intent { return &w.Ledger.Orders[order].Intents[0] }

// mailOf is the nth mail that was sent of an order.
func (w *world) mailOf(order string, nth int) *check.Mail {
	w.t.Helper()
	sent := &notificationv1.NotificationSent{}
	if err := proto.Unmarshal(w.of(order, "NotificationSent", nth).Value, sent); err != nil {
		w.t.Fatal(err)
	}
	id := strings.Trim(sent.GetMessageId(), "<>")
	return &w.Mails[slices.IndexFunc(w.Mails, func(m check.Mail) bool { return m.MessageID == id })]
}

func (r record) record() check.Record {
	return check.Record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: []byte(r.Key), Value: r.Value,
		Headers: func(yield func(string, []byte) bool) {
			for name, value := range r.Headers {
				if !yield(name, []byte(value)) {
					return
				}
			}
		}}
}

// partition is where the recording has the records of a key.
func partition(w *world) func([]byte) int {
	at := map[string]int{}
	for _, r := range w.Records {
		if _, known := at[r.Key]; !known && r.Topic == "order.events.v1" {
			at[r.Key] = r.Partition
		}
	}
	return func(key []byte) int { return at[string(key)] }
}

func (w *world) checker() *check.Checker {
	w.t.Helper()
	c, err := choreography.Load()
	if err != nil {
		w.t.Fatal(err)
	}
	return check.New(c, partition(w))
}

// judge feeds everything and judges it.
func (w *world) judge() *check.Report {
	k := w.checker()
	for _, r := range w.Records {
		k.Take(r.record())
	}
	return k.Judge(check.Evidence{
		Expected: w.expected, Parked: w.parked, Ledger: w.Ledger, Mails: w.Mails, Gone: w.gone, Documents: w.documents,
	})
}

var longAgo = time.Unix(1, 0)
