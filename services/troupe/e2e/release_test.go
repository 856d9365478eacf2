package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/services/troupe/inspect"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/encoding/protowire"
)

// release is what a release has left behind: all topics, the offsets its groups had committed, all of Redis, and what it
// answered. One is recorded (scripts/record-release) of each release with formats of its own.
type release struct {
	Topics []recordedTopic               `json:"topics"`
	Groups map[string]map[string][]int64 `json:"groups"` // offsets by group and topic, one for each partition; -1: none
	Redis  []recordedKey                 `json:"redis"`
	Orders []recordedOrder               `json:"orders"`
}

type recordedTopic struct {
	Name    string             `json:"name"`
	ID      string             `json:"id"` // KIP-516, as positions in Redis name it
	Config  map[string]*string `json:"config"`
	Records []recordedRecord   `json:"records"`
}

// recordedRecord is one of those of a partition, which are all there and in order: the first has offset 0.
type recordedRecord struct {
	Partition int32       `json:"partition"`
	Time      time.Time   `json:"time"`
	Key       string      `json:"key"`
	Value     []byte      `json:"value"`
	Headers   [][2]string `json:"headers"`
}

// recordedKey is a key of Redis, with the command that fills it.
type recordedKey struct {
	Command string   `json:"command"` // SET, HSET, ZADD, RPUSH or SADD
	Key     string   `json:"key"`
	Args    [][]byte `json:"args"`
}

// recordedOrder is an order and how it stood.
type recordedOrder struct {
	ID    string `json:"id"`
	Email string `json:"email"`
	// Scene says what had become of it: settled, parked (its payment is a dead letter), waiting (for the gateway).
	Scene    string         `json:"scene"`
	Document map[string]any `json:"document"` // GET /orders/{id}
	Story    map[string]any `json:"story"`    // GET /orders/{id}/events
	// Log is what operators did about it, as the console tells it; only of one that was brought back.
	Log map[string]any `json:"log,omitempty"`
}

// What a release before this one has left in Kafka and in Redis is read by this one, by its Redis or without it: what was settled is
// answered as then, and charged and mailed for no second time; what was parked is brought back, what was under way settles. By now
// the payment deadlines have passed, and nothing is charged any more; so it is played with deadlines to come, too.
func TestWhatEarlierReleasesLeft(t *testing.T) {
	for name, r := range releases(t) {
		for _, redis := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/redis=%t", name, redis), func(t *testing.T) { r.goOn(t, redis) })
			t.Run(fmt.Sprintf("%s/redis=%t/in time", name, redis), func(t *testing.T) {
				if confirmed := r.inTime(t).goOn(t, redis); confirmed == 0 {
					t.Error("no order was paid")
				}
			})
		}
	}
}

// inTime is what a release left, with the payment deadlines of what is not settled 22 hours ahead, wherever they are written.
func (r release) inTime(t *testing.T) release {
	t.Helper()
	r.Topics, r.Redis = slices.Clone(r.Topics), slices.Clone(r.Redis)
	for _, o := range r.Orders {
		if o.Scene == "settled" {
			continue
		}
		placed := o.Story["events"].([]any)[0].(map[string]any)["data"].(map[string]any)
		then, err := time.Parse(time.RFC3339, placed["payment_deadline"].(string))
		if err != nil {
			t.Fatal(err)
		}
		now := then.Add(22*time.Hour - time.Until(then).Truncate(time.Second))
		seconds := func(at time.Time) string { return string(protowire.AppendVarint([]byte{8}, uint64(at.Unix()))) }
		later := strings.NewReplacer(seconds(then), seconds(now), then.Format("2006-01-02T15:04:05"), now.Format("2006-01-02T15:04:05"),
			strconv.FormatInt(then.UnixMilli(), 10), strconv.FormatInt(now.UnixMilli(), 10))
		for i, topic := range r.Topics {
			r.Topics[i].Records = slices.Clone(topic.Records)
			for j, rec := range topic.Records {
				if rec.Key == o.ID {
					r.Topics[i].Records[j].Value = []byte(later.Replace(string(rec.Value)))
				}
			}
		}
		for i, k := range r.Redis {
			if !strings.Contains(k.Key, o.ID) && !slices.ContainsFunc(k.Args, func(a []byte) bool { return string(a) == o.ID }) {
				continue
			}
			r.Redis[i].Args = nil
			for _, a := range k.Args {
				r.Redis[i].Args = append(r.Redis[i].Args, []byte(later.Replace(string(a))))
			}
		}
	}
	return r
}

// releases are those that are recorded, by name.
func releases(t *testing.T) map[string]release {
	t.Helper()
	files, err := filepath.Glob("testdata/release-*.json")
	if err != nil || len(files) < 2 {
		t.Fatalf("%d releases are recorded: %v", len(files), err)
	}
	all := map[string]release{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var r release
		if err := json.Unmarshal(b, &r); err != nil {
			t.Fatal(err)
		}
		all[strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "release-"), ".json")] = r
	}
	return all
}

// goOn starts today's troupe on what a release has left, and says how many of the orders that were not settled it confirmed.
func (r release) goOn(t *testing.T, stored bool) (confirmed int) {
	brokers := brokertest.Fresh(t).Brokers
	r.fill(t, brokers)
	m := miniredis.RunT(t)
	if stored {
		r.restore(t, m.Addr(), topicIDs(t, brokers))
	}
	p := start(t, "--kafka-brokers", strings.Join(brokers, ","), "--redis-addr", m.Addr(), "--env", "RETENTION=87600h")
	var rest []recordedOrder
	for _, o := range r.Orders {
		if o.Scene != "settled" {
			rest = append(rest, o)
			continue
		}
		p.answersAsThen(t, o.ID, o.Document, p.Query+"/orders/"+o.ID)
		p.answersAsThen(t, o.ID, o.Story, p.Query+"/orders/"+o.ID+"/events")
		if o.Log != nil {
			p.answersAsThen(t, o.ID, o.Log, p.Console+audit(o.ID))
		}
	}
	if len(rest) < 2 || len(rest) == len(r.Orders) {
		t.Fatalf("%d of %d orders were not settled", len(rest), len(r.Orders))
	}
	eventually(t, 30*time.Second, "what was parked is brought back", func() error {
		out, code := p.troupe(t, "dead-letters", "redrive", "--all", "--reason", "a new release")
		list, _ := p.troupe(t, "dead-letters", "list")
		if code != 0 || !strings.Contains(list, "nothing found") {
			return fmt.Errorf("exit code %d: %s\n%s", code, out, list)
		}
		return nil
	})
	for _, o := range rest {
		switch got := p.settled(t, o.ID); got.Status {
		case "placed":
			t.Errorf("%s, which was %s, is %s", o.ID, o.Scene, got.Status)
		case "confirmed":
			confirmed++
		}
	}
	p.moved(t, r.Orders)
	return confirmed
}

// answersAsThen waits until a document is answered, and compares it. Members may have been added since.
func (p *playground) answersAsThen(t *testing.T, id string, want map[string]any, url string) {
	t.Helper()
	var got map[string]any
	eventually(t, 30*time.Second, "the answer about "+id, func() (err error) {
		got, err = document(t.Context(), url)
		return err
	})
	if at := differs(url, want, got); at != "" {
		t.Errorf("%s", at)
	}
}

// moved holds that no settled order was charged, refunded or mailed again, and that each of the others paid what it ended with.
func (p *playground) moved(t *testing.T, orders []recordedOrder) {
	t.Helper()
	mailed := map[string]int{}
	box, err := document(t.Context(), p.Mailbox+"/api/messages?limit=10000")
	if err != nil {
		t.Fatal(err)
	}
	messages, _ := box["messages"].([]any)
	for _, m := range messages {
		for _, to := range m.(map[string]any)["to"].([]any) {
			mailed[to.(string)]++
		}
	}
	for _, o := range orders {
		ledger, err := inspect.Ledger(t.Context(), p.Gateway, o.ID)
		if err != nil {
			t.Fatal(err)
		}
		sent := mailed[o.Email]
		if o.Scene == "settled" {
			if len(ledger.Orders) > 0 || sent > 0 {
				t.Errorf("%s was settled: %d entries in the ledger, %d mails", o.ID, len(ledger.Orders), sent)
			}
			continue
		}
		now := p.settled(t, o.ID)
		owes := now.Total
		if now.Status == "cancelled" {
			owes = 0
		}
		var paid, charged int64
		for _, entry := range ledger.Orders {
			money := entry.Money()
			paid, charged = paid+money.Charged-money.Refunded, charged+money.Charged
		}
		// A recording grows older than its orders' payment deadlines. From then on nothing is charged for one that was
		// cancelled, and its customer was told of that by the release before.
		if then, _ := o.Document["notifications"].([]any); charged == 0 && o.Document["status"] == "cancelled" {
			sent += len(then)
		}
		if paid != owes || sent == 0 {
			t.Errorf("%s is %s and paid %d of %d, %d mails", o.ID, now.Status, paid, owes, sent)
		}
	}
}

// document is a JSON object that is answered with 200.
func document(ctx context.Context, url string) (doc map[string]any, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, resp.Status)
	}
	return doc, json.NewDecoder(resp.Body).Decode(&doc)
}

// differs says where got lacks something of want, or has something else there; empty: nowhere.
func differs(at string, want, got any) string {
	switch w := want.(type) {
	case map[string]any:
		g, _ := got.(map[string]any)
		for name, v := range w {
			if d := differs(at+"."+name, v, g[name]); d != "" {
				return d
			}
		}
		return ""
	case []any:
		g, _ := got.([]any)
		if len(g) != len(w) {
			return fmt.Sprintf("%s: %d entries, were %d", at, len(g), len(w))
		}
		for i := range w {
			if d := differs(fmt.Sprintf("%s[%d]", at, i), w[i], g[i]); d != "" {
				return d
			}
		}
		return ""
	}
	if !reflect.DeepEqual(want, got) {
		return fmt.Sprintf("%s: %v, was %v", at, got, want)
	}
	return ""
}

// fill makes the topics with what is recorded, and gives the groups their offsets.
func (r release) fill(t *testing.T, brokers []string) {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.UnknownTopicRetries(-1)) // a broker that has just created a topic may not know of it yet
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	admin := kadm.NewClient(c)
	for _, topic := range r.Topics {
		// Facts of any age are still facts: the recording gets older.
		forever := "-1"
		topic.Config["retention.ms"] = &forever
		if _, err := admin.CreateTopic(t.Context(), partitions, 1, topic.Config, topic.Name); err != nil {
			t.Fatal(err)
		}
		for _, rec := range topic.Records {
			to := &kgo.Record{Topic: topic.Name, Partition: rec.Partition, Timestamp: rec.Time, Key: []byte(rec.Key), Value: rec.Value}
			for _, h := range rec.Headers {
				to.Headers = append(to.Headers, kgo.RecordHeader{Key: h[0], Value: []byte(h[1])})
			}
			if err := c.ProduceSync(t.Context(), to).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for group, topics := range r.Groups {
		offsets := kadm.Offsets{}
		for topic, of := range topics {
			for partition, at := range of {
				if at >= 0 {
					offsets.AddOffset(topic, int32(partition), at, -1) //nolint:gosec // a dozen
				}
			}
		}
		if err := admin.CommitAllOffsets(t.Context(), group, offsets); err != nil {
			t.Fatal(err)
		}
	}
}

// restore fills Redis. What names the topics as they were recorded names those that were made of them.
func (r release) restore(t *testing.T, addr string, ids map[string]string) {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: addr})
	defer func() { _ = c.Close() }()
	var renamed []string
	for _, topic := range r.Topics {
		renamed = append(renamed, topic.ID, ids[topic.Name])
	}
	now := strings.NewReplacer(renamed...)
	for _, k := range r.Redis {
		args := []any{k.Command, k.Key}
		for _, a := range k.Args {
			args = append(args, now.Replace(string(a)))
		}
		if err := c.Do(t.Context(), args...).Err(); err != nil {
			t.Fatalf("%s %s: %v", k.Command, k.Key, err)
		}
	}
}

// topicIDs asks which logs the topics are.
func topicIDs(t *testing.T, brokers []string) map[string]string {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	topics, err := kadm.NewClient(c).ListTopics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{}
	for name, d := range topics {
		id := d.ID
		ids[name] = fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
	}
	return ids
}
