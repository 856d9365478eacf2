// Package inspect reads a running troupe from outside, by addresses: the whole log, the gateway's ledger, the mailbox
// and the read model. What it has read, schemas/check judges.
package inspect

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/schemas/check"
	"github.com/troupe-dev/troupe/schemas/choreography"
	"github.com/troupe-dev/troupe/services/troupe/internal/jsonhttp"
	"github.com/troupe-dev/troupe/services/troupe/rest"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// Log is how the log is read. Plain is one that shares no code with what is checked.
type Log interface {
	// Topic returns every record of a topic, partition by partition in their order.
	Topic(ctx context.Context, topic string, partitions int) ([]broker.Record, error)
	// Ends returns the end offset of every partition of the topics.
	Ends(ctx context.Context, topics []string) (map[broker.TopicPartition]int64, error)
	// Committed returns what a group has committed.
	Committed(ctx context.Context, group string) (map[broker.TopicPartition]int64, error)
}

// System is what is looked at.
type System struct {
	Log        Log
	Partitions int
	Orders     *rest.Client
	// Gateway and Mailbox are base URLs of the simulator and the mailbox.
	Gateway, Mailbox string
	// Read reads an order's document from the read model, and Fold makes it from all records of the order: they must be
	// the same.
	Read func(ctx context.Context, id string) (doc any, ok bool, err error)
	Fold func(records []broker.Record) any
	// Parked are orders that poison keeps: they need not settle, and what waits behind the poison is explained.
	Parked map[string]bool
	// Gone are the orders of logs that were there before.
	Gone check.Gone
}

// participants that publish facts.
var participants = []string{"order", "payment", "notification"}

// FactTopics are where the participants publish.
func FactTopics() []string {
	var topics []string
	for _, p := range participants {
		topics = append(topics, p+".events.v1")
	}
	return topics
}

// Run checks a system that has come to rest (see Quiet). All orders in it must be among the expected. The error is for
// what could not be looked at; what is wrong is in the report.
func Run(ctx context.Context, s System, expected []check.Expected) (*check.Report, error) {
	c, err := choreography.Load()
	if err != nil {
		return nil, err
	}
	hash := kgo.StickyKeyPartitioner(nil).ForTopic("")
	k := check.New(c, func(key []byte) int { return hash.Partition(&kgo.Record{Key: key}, s.Partitions) })
	orders, err := s.readLog(ctx, k)
	if err != nil {
		return nil, err
	}
	at := check.Evidence{Expected: expected, Parked: s.Parked, Gone: s.Gone}
	if at.Ledger, err = Ledger(ctx, s.Gateway, ""); err != nil {
		return nil, err
	}
	if at.Mails, err = Mails(ctx, s.Mailbox, 0); err != nil {
		return nil, err
	}
	if at.Documents, err = s.documents(ctx, orders, expected); err != nil {
		return nil, err
	}
	return k.Judge(at), nil
}

// readLog hands every record of every topic to the checker, from its start to its end as it is now, and returns those
// of each order.
func (s System) readLog(ctx context.Context, k *check.Checker) (map[string][]broker.Record, error) {
	orders := map[string][]broker.Record{}
	for _, p := range participants {
		for _, topic := range []string{p + ".events.v1", check.LettersTopic(p), check.RequestsTopic(p)} {
			records, err := s.Log.Topic(ctx, topic, s.Partitions)
			if err != nil {
				return nil, err
			}
			for _, r := range records {
				o := k.Take(check.Record{
					Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: r.Key, Value: r.Value, Headers: r.Headers.All(),
				})
				if o != nil && topic == p+".events.v1" {
					orders[o.ID] = append(orders[o.ID], r)
				}
			}
		}
	}
	return orders, nil
}

// Story reads the events of one order as a customer may, and hands them to a checker.
func Story(ctx context.Context, orders *rest.Client, id string) (*check.Order, error) {
	c, err := choreography.Load()
	if err != nil {
		return nil, err
	}
	story, err := orders.Story(ctx, id)
	if err != nil {
		return nil, err
	}
	k := check.New(c, func([]byte) int { return story.Events[0].Partition })
	for _, e := range story.Events {
		if e.Kind != "" && e.Kind != "event" {
			continue
		}
		r, err := record(e)
		if err != nil {
			return nil, fmt.Errorf("event %s: %w", e.ID, err)
		}
		k.Take(r)
	}
	return k.Order(id), nil
}

// record makes the record of an event that was read by REST.
func record(e rest.Event) (check.Record, error) {
	kind, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(e.Type))
	if err != nil {
		return check.Record{}, err
	}
	body := kind.New().Interface()
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(e.Data, body); err != nil {
		return check.Record{}, err
	}
	value, err := proto.Marshal(body)
	h := broker.HeadersOf("ce_specversion", "1.0", "ce_id", e.ID, "ce_type", e.Type, "ce_source", e.Source, "ce_subject", e.OrderID,
		"ce_time", e.Time.Format(time.RFC3339Nano), "ce_previousid", e.PreviousID, "ce_causationid", e.CausationID,
		"content-type", "application/protobuf")
	if e.Sequence > 0 {
		h = h.Append("ce_sequence", strconv.AppendInt(nil, e.Sequence, 10))
	}
	return check.Record{
		Topic: e.Topic, Partition: e.Partition, Offset: e.Offset, Key: []byte(e.OrderID), Value: value, Headers: h.All(),
	}, err
}

// Remember notes what there is of the orders so far. After that their log may be deleted, and another one take its
// place.
func (s System) Remember(ctx context.Context) (check.Gone, error) {
	ledger, err := Ledger(ctx, s.Gateway, "")
	if err != nil {
		return check.Gone{}, err
	}
	mails, err := Mails(ctx, s.Mailbox, 0)
	return check.GoneWith(ledger, mails), err
}

// Tell writes what a report says of an order, what the log holds about it, and how far each participant has come in its
// partition.
func (s System) Tell(ctx context.Context, w io.Writer, r *check.Report, order string) error {
	r.Tell(w, order)
	partition := broker.Partition([]byte(order), s.Partitions)
	for _, p := range participants {
		committed, err := s.Log.Committed(ctx, p)
		if err != nil {
			return err
		}
		own := map[string]int64{}
		for tp, offset := range committed {
			if tp.Partition == partition {
				own[tp.Topic] = offset
			}
		}
		for _, topic := range slices.Sorted(maps.Keys(own)) {
			fmt.Fprintf(w, "  %s has committed %s/%d to %d\n", p, topic, partition, own[topic])
		}
	}
	return nil
}

// Ledger reads the simulator's ledger: of one order, or of all when orderID is empty.
func Ledger(ctx context.Context, gatewayURL, orderID string) (l check.Ledger, err error) {
	from := gatewayURL + "/ledger"
	if orderID != "" {
		from += "?order_id=" + url.QueryEscape(orderID)
	}
	return l, get(ctx, from, &l)
}

// page is one of the mailbox's.
type page struct {
	Total     int          `json:"total"`
	Messages  []check.Mail `json:"messages"`
	NextAfter int64        `json:"next_after"`
}

// Mails reads the mailbox from after a mail's number on, oldest first; 0 is before the first.
func Mails(ctx context.Context, mailboxURL string, after int64) ([]check.Mail, error) {
	var all []check.Mail
	for {
		var p page
		if err := get(ctx, mailboxURL+"/api/messages?limit=10000&after="+strconv.FormatInt(after, 10), &p); err != nil {
			return nil, fmt.Errorf("read the mailbox: %w", err)
		}
		all = append(all, p.Messages...)
		if after = p.NextAfter; after == 0 {
			return all, nil
		}
	}
}

// MailCount returns how many mails have a Message-ID, in the mailbox of the playground or in a Mailpit, which knows no
// such path as ours.
func MailCount(ctx context.Context, mailboxURL, messageID string) (int, error) {
	id := url.QueryEscape(strings.Trim(messageID, "<>"))
	var p page
	err := get(ctx, mailboxURL+"/api/messages?message_id="+id, &p)
	if fault.ClassOf(err) != fault.NotFound {
		return p.Total, err
	}
	var found struct {
		Count int `json:"messages_count"`
	}
	err = get(ctx, mailboxURL+"/api/v1/search?limit=1&query="+url.QueryEscape("message-id:")+id, &found)
	return found.Count, err
}

// get reads a JSON document.
func get(ctx context.Context, url string, into any) error {
	return jsonhttp.Call(ctx, http.MethodGet, url, nil, nil, into)
}
