package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/services/troupe/internal/play"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var (
	recordFrom = flag.String("record-from", "", "directory of a running playground of the release that is to be recorded; empty: this one")
	recordTo   = flag.String("record-to", "", "file to write")
)

// scenes are what is recorded: what the gateway does, how the order is paid, what an operator does about it when it is
// parked, and how it stands then.
var scenes = []struct {
	gateway, method string
	cancel          bool
	bringBack       func(p *playground, t *testing.T, id string)
	scene           string
	stands          func(order map[string]any) bool
}{
	{"{}", "pm_card_visa", false, nil, "settled", told},
	{"{}", "pm_card_visa", false, nil, "settled", told},
	{"{}", "pm_card_chargeDeclined", false, nil, "settled", told},
	{"{}", "pm_card_visa", true, nil, "settled", told},
	{`{"refuse_percent":100}`, "pm_card_visa", false, (*playground).redrive, "settled", told},
	{"{}", "pm_sim_refused", false, (*playground).edit, "settled", told},
	{`{"refuse_percent":100}`, "pm_card_visa", false, nil, "parked", nil},
	{`{"refuse_percent":100}`, "pm_card_visa", true, nil, "parked", nil},
	{`{"outage":true}`, "pm_card_visa", false, nil, "waiting", nil},
	{`{"outage":true}`, "pm_card_visa", true, nil, "waiting", nil},
}

// redrive brings a parked order back when the gateway is well.
func (p *playground) redrive(t *testing.T, id string) {
	t.Helper()
	p.gateway(t, "{}")
	p.letters(t, 0, "redrive "+id+" --by ada --reason well-again", "redrive done")
}

// edit brings a parked order back with another payment method.
func (p *playground) edit(t *testing.T, id string) {
	t.Helper()
	letter := p.parked(t, id, 1).Letters[0]
	file := filepath.Join(t.TempDir(), "payload.json")
	if err := os.WriteFile(file, bytes.Replace(letter.Payload, []byte("pm_sim_refused"), []byte("pm_card_visa"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	p.letters(t, 0, "edit "+id+" --by ada --reason wrong-method --payload "+file, "edit done")
}

// told is true for an order of which everything is settled, and mailed.
func told(o map[string]any) bool {
	mails, _ := o["notifications"].([]any)
	want := 1
	if payment, _ := o["payment"].(map[string]any); payment["status"] == "refunded" {
		want = 3
	}
	return o["settled"] == true && len(mails) == want
}

// What a release leaves behind is recorded, and read again by it. scripts/record-release records others, for
// TestWhatEarlierReleasesLeft.
func TestWhatAReleaseLeavesIsRecorded(t *testing.T) {
	if *recordFrom != "" {
		recordAnother(t)
		return
	}
	if !onReal {
		t.Parallel()
	}
	var r release
	t.Run("recorded", func(t *testing.T) { r = alone(t, "--payment-deadline", "23h").record(t) })
	t.Run("its formats are those of a recorded release", func(t *testing.T) { r.isRecorded(t) })
	t.Run("read again", func(t *testing.T) { r.goOn(t, true) })
}

// isRecorded fails when no recorded release has today's formats: whoever raises a version records, so that the release
// after this one finds what this one leaves.
func (r release) isRecorded(t *testing.T) {
	t.Helper()
	want := r.formats()
	for _, name := range []string{"console", "notification", "order", "payment", "query"} {
		if want[name] == "" {
			t.Fatalf("%s says no format: %v", name, want)
		}
	}
	recorded := map[string]map[string]string{}
	for name, other := range releases(t) {
		recorded[name] = other.formats()
		if maps.Equal(recorded[name], want) {
			return
		}
	}
	t.Errorf("today's formats are %v; recorded are %v: commit, then scripts/record-release HEAD NAME", want, recorded)
}

// formats are the versions of what each service keeps in Redis, without the hash of which topics are folded.
func (r release) formats() map[string]string {
	of := map[string]string{}
	for _, k := range r.Redis {
		name, isMeta := strings.CutSuffix(k.Key, "}:meta")
		if !isMeta {
			continue
		}
		name, _, _ = strings.Cut(strings.TrimPrefix(name, "{"), ":")
		for i := 0; i+1 < len(k.Args); i += 2 {
			if part := strings.Split(string(k.Args[i+1]), "."); string(k.Args[i]) == "fold_version" {
				of[name] = strings.Join(part[:min(2, len(part))], ".")
			}
		}
	}
	return of
}

func recordAnother(t *testing.T) {
	p := &playground{dir: *recordFrom}
	var err error
	if p.Playground, err = play.Find(p.dir); err != nil {
		t.Fatal(err)
	}
	b, err := json.MarshalIndent(p.record(t), "", " ")
	if err == nil {
		err = os.WriteFile(*recordTo, append(b, '\n'), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// record plays the scenes, and reads what they have left.
func (p *playground) record(t *testing.T) (r release) {
	t.Helper()
	for i, s := range scenes {
		p.gateway(t, s.gateway)
		o := recordedOrder{Scene: s.scene, Email: fmt.Sprintf("customer-%d@example.com", i)}
		body := fmt.Sprintf(`{"customer_id":"c-%d","email":%q,"currency":"EUR","payment_method":%q,
			"lines":[{"sku":"TEA-250","name":"Green tea","quantity":2,"unit_price":1250}]}`, i, o.Email, s.method)
		o.ID, _ = post(t, p.Order+"/orders", body)["id"].(string)
		if s.cancel {
			if s.stands != nil {
				p.stands(t, o.ID, func(o map[string]any) bool { return o["status"] == "confirmed" && told(o) })
			}
			post(t, p.Order+"/orders/"+o.ID+"/cancel", "")
		}
		if s.scene == "parked" || s.bringBack != nil {
			eventually(t, time.Minute, "the order is parked", func() error {
				doc, err := document(t.Context(), p.Console+letters(o.ID))
				if err == nil && doc["waiting"] == 0.0 {
					err = fmt.Errorf("none of its events waits")
				}
				return err
			})
		}
		if s.bringBack != nil {
			s.bringBack(p, t, o.ID)
		}
		if s.stands != nil {
			p.stands(t, o.ID, s.stands)
		}
		r.Orders = append(r.Orders, o)
	}
	p.folded(t)
	for i, o := range r.Orders {
		var err error
		if r.Orders[i].Document, err = document(t.Context(), p.Query+"/orders/"+o.ID); err != nil {
			t.Fatal(err)
		}
		if r.Orders[i].Story, err = document(t.Context(), p.Query+"/orders/"+o.ID+"/events"); err != nil {
			t.Fatal(err)
		}
		if scenes[i].bringBack == nil {
			continue
		}
		if r.Orders[i].Log, err = document(t.Context(), p.Console+audit(o.ID)); err != nil {
			t.Fatal(err)
		}
	}
	// Redis first, as it stands after a crash too: its positions are not beyond what is read of the log.
	r.recordRedis(t, p.Redis)
	r.recordKafka(t, p.Kafka)
	return r
}

// folded waits until query and console have read every topic of theirs to its end: dead letters and activity come to them later than
// facts.
func (p *playground) folded(t *testing.T) {
	t.Helper()
	kafka, err := kgo.NewClient(kgo.SeedBrokers(p.Kafka...))
	if err != nil {
		t.Fatal(err)
	}
	defer kafka.Close()
	store := redis.NewClient(&redis.Options{Addr: p.Redis})
	defer func() { _ = store.Close() }()
	eventually(t, time.Minute, "query and console have read all", func() error {
		ends, err := kadm.NewClient(kafka).ListEndOffsets(t.Context())
		if err != nil {
			return err
		}
		for _, service := range []string{"query", "console"} {
			for n := range int32(partitions) {
				for field, at := range store.HGetAll(t.Context(), fmt.Sprintf("{%s:%d}:meta", service, n)).Val() {
					topic, input := strings.CutPrefix(field, "in:")
					if end, _ := ends.Lookup(topic, n); input && at != strconv.FormatInt(end.Offset, 10) {
						return fmt.Errorf("%s has read %s/%d up to %s of %d", service, topic, n, at, end.Offset)
					}
				}
			}
		}
		return nil
	})
}

// letters and audit are where the console tells of payment's dead letters of an order, and of what operators did.
func letters(id string) string { return "/api/dead-letters/payment/" + id }
func audit(id string) string   { return "/api/dead-letters/log?participant=payment&order_id=" + id }

// stands waits until an order is as it shall be recorded.
func (p *playground) stands(t *testing.T, id string, as func(map[string]any) bool) {
	t.Helper()
	eventually(t, time.Minute, "order "+id, func() error {
		doc, err := document(t.Context(), p.Query+"/orders/"+id)
		if err == nil && !as(doc) {
			err = fmt.Errorf("it is %v", doc)
		}
		return err
	})
}

// post sends a JSON body, whose key is the customer's in it, and returns the answer.
func post(t *testing.T, url, body string) (answer map[string]any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("Idempotency-Key", "recorded-order")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusAccepted {
		t.Fatalf("%s: %s", url, resp.Status)
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

// recordKafka reads all topics, and what the groups have committed.
func (r *release) recordKafka(t *testing.T, brokers []string) {
	t.Helper()
	ids := topicIDs(t, brokers)
	c, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	admin := kadm.NewClient(c)
	ends, err := admin.ListEndOffsets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var left int64
	from := map[string]map[int32]kgo.Offset{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Topic[0] == '_' {
			return
		}
		if from[o.Topic] == nil {
			from[o.Topic] = map[int32]kgo.Offset{}
		}
		from[o.Topic][o.Partition] = kgo.NewOffset().AtStart()
		left += o.Offset
	})
	c.AddConsumePartitions(from)
	of := map[string][]recordedRecord{}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for left > 0 {
		fetched := c.PollFetches(ctx)
		if err := fetched.Err0(); err != nil {
			t.Fatal(err)
		}
		fetched.EachRecord(func(rec *kgo.Record) {
			left--
			to := recordedRecord{Partition: rec.Partition, Time: rec.Timestamp.UTC(), Key: string(rec.Key), Value: rec.Value}
			for _, h := range rec.Headers {
				to.Headers = append(to.Headers, [2]string{h.Key, string(h.Value)})
			}
			of[rec.Topic] = append(of[rec.Topic], to)
		})
	}
	configs, err := admin.DescribeTopicConfigs(t.Context(), slices.Collect(maps.Keys(from))...)
	if err != nil {
		t.Fatal(err)
	}
	for name := range from {
		set := map[string]*string{}
		described, err := configs.On(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range described.Configs {
			if c.Source == kmsg.ConfigSourceDynamicTopicConfig {
				set[c.Key] = c.Value
			}
		}
		slices.SortStableFunc(of[name], func(a, b recordedRecord) int { return int(a.Partition - b.Partition) })
		r.Topics = append(r.Topics, recordedTopic{Name: name, ID: ids[name], Config: set, Records: of[name]})
	}
	slices.SortFunc(r.Topics, func(a, b recordedTopic) int { return bytes.Compare([]byte(a.Name), []byte(b.Name)) })
	groups, err := admin.ListGroups(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.Groups = map[string]map[string][]int64{}
	for _, group := range groups.Groups() {
		committed, err := admin.FetchOffsets(t.Context(), group)
		if err != nil {
			t.Fatal(err)
		}
		offsets := map[string][]int64{}
		committed.Each(func(o kadm.OffsetResponse) {
			if offsets[o.Topic] == nil {
				offsets[o.Topic] = slices.Repeat([]int64{-1}, partitions)
			}
			offsets[o.Topic][o.Partition] = o.At
		})
		r.Groups[group] = offsets
	}
}

// recordRedis reads all keys.
func (r *release) recordRedis(t *testing.T, addr string) {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: addr})
	defer func() { _ = c.Close() }()
	keys, err := c.Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(keys)
	for _, key := range keys {
		if k := recordKey(t, c, key); k.Command != "" { // else it has gone meanwhile
			r.Redis = append(r.Redis, k)
		}
	}
}

// recordKey reads one key.
func recordKey(t *testing.T, c *redis.Client, key string) recordedKey {
	t.Helper()
	is, err := c.Type(t.Context(), key).Result()
	if err != nil {
		t.Fatal(err)
	}
	k := recordedKey{Key: key}
	add := func(values ...string) {
		for _, v := range values {
			k.Args = append(k.Args, []byte(v))
		}
	}
	switch is {
	case "string":
		var v string
		k.Command = "SET"
		v, err = c.Get(t.Context(), key).Result()
		add(v)
	case "hash":
		var fields map[string]string
		k.Command = "HSET"
		fields, err = c.HGetAll(t.Context(), key).Result()
		for f, v := range fields {
			add(f, v)
		}
	case "zset":
		var members []redis.Z
		k.Command = "ZADD"
		members, err = c.ZRangeWithScores(t.Context(), key, 0, -1).Result()
		for _, m := range members {
			add(strconv.FormatFloat(m.Score, 'f', -1, 64), m.Member.(string))
		}
	case "list":
		var values []string
		k.Command = "RPUSH"
		values, err = c.LRange(t.Context(), key, 0, -1).Result()
		add(values...)
	case "set":
		var members []string
		k.Command = "SADD"
		members, err = c.SMembers(t.Context(), key).Result()
		add(members...)
	case "none":
	default:
		t.Fatalf("%s is a %s", key, is)
	}
	if err != nil {
		t.Fatal(err)
	}
	return k
}
