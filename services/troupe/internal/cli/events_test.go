package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/schemas/examples"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// stocked is a Kafka with every golden example of the schemas, a second apart from began on, and the client that wrote them.
func stocked(t *testing.T, began time.Time) (*broker.Client, string) {
	t.Helper()
	cfg := brokertest.Fresh(t)
	log, err := broker.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	var topics []broker.Topic
	for _, name := range []string{"order.events.v1", "payment.events.v1", "notification.events.v1", "other.events.v1"} {
		topics = append(topics, broker.Topic{Name: name, Partitions: 3})
	}
	if err := log.Provision(t.Context(), topics); err != nil {
		t.Fatal(err)
	}
	all, err := examples.All()
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range all {
		r := broker.Record{Key: []byte(e.Key), Value: e.Wire, Time: began.Add(time.Duration(i) * time.Second)}
		for _, h := range e.Headers {
			r.Headers = r.Headers.Append(h.Key, []byte(h.Value))
		}
		put(t, log, e.Topic, r)
	}
	return log, strings.Join(cfg.Brokers, ",")
}

func put(t *testing.T, log *broker.Client, topic string, r broker.Record) {
	t.Helper()
	to := broker.TopicPartition{Topic: topic, Partition: broker.Partition(r.Key, 3)}
	log.Produce(t.Context(), []broker.Batch{{TopicPartition: to, Records: []broker.Record{r}}}, func(p broker.Produced) {
		if p.Err != nil {
			t.Error(p.Err)
		}
	})
}

// runEvents runs troupe events at a broker.
func runEvents(ctx context.Context, brokers string, args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	code = execute(ctx, append([]string{"events", "--brokers", brokers}, args...), nil, &o, &e)
	return code, o.String(), e.String()
}

// printed is a line of --json.
type printed struct {
	Topic      string
	Partition  int
	Offset     int64
	Time       time.Time
	Key        string
	Headers    map[string]json.RawMessage
	Data       json.RawMessage
	DataBase64 []byte `json:"data_base64"`
	Error      string
}

func parse(t *testing.T, out string) (all []printed) {
	t.Helper()
	for line := range strings.Lines(out) {
		var p printed
		if err := json.Unmarshal([]byte(line), &p); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, p)
	}
	return all
}

func TestEventsSaysAllOfEveryRecord(t *testing.T) {
	began := time.Now().Add(-time.Hour).Truncate(time.Second)
	_, brokers := stocked(t, began)
	code, out, errs := runEvents(t.Context(), brokers, "--since", "2h", "--json")
	all, err := examples.All()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]printed{}
	for _, p := range parse(t, out) {
		got[strings.Trim(string(p.Headers["ce_type"]), `"`)] = p
	}
	if code != exitOK || errs != "" || len(got) != len(all) || strings.Count(out, "\n") != len(all) {
		t.Fatalf("code %d, %d lines\n%s%s", code, len(got), out, errs)
	}
	for i, e := range all {
		p := got[e.Type]
		var want bytes.Buffer
		if err := json.Compact(&want, e.Body); err != nil {
			t.Fatal(err)
		}
		if p.Topic != e.Topic || p.Key != e.Key || string(p.Data) != want.String() || p.Error != "" || !p.Time.Equal(began.Add(time.Duration(i)*time.Second)) ||
			len(p.Headers) != len(e.Headers) {
			t.Errorf("%s: got %+v, want data %s", e.Type, p, &want)
		}
		for _, h := range e.Headers {
			if string(p.Headers[h.Key]) != `"`+h.Value+`"` {
				t.Errorf("%s: header %s is %s, not %q", e.Type, h.Key, p.Headers[h.Key], h.Value)
			}
		}
	}
}

func TestEventsAreFound(t *testing.T) {
	began := time.Now().Add(-time.Hour).Truncate(time.Second)
	_, brokers := stocked(t, began)
	all, err := examples.All()
	if err != nil {
		t.Fatal(err)
	}
	at := func(n int) string { return began.Add(time.Duration(n) * time.Second).UTC().Format(time.RFC3339) }
	for name, c := range map[string]struct {
		args string
		want func(i int, e examples.Example) bool
	}{
		"of an order":         {"--order " + all[0].Key, func(_ int, e examples.Example) bool { return e.Key == all[0].Key }},
		"of an unknown order": {"--order nobody", func(int, examples.Example) bool { return false }},
		"of a topic":          {"--since 2h --topic payment.events.v1", func(_ int, e examples.Example) bool { return e.Topic == "payment.events.v1" }},
		"since":               {"--since " + at(5), func(i int, _ examples.Example) bool { return i >= 5 }},
		"until":               {"--until " + at(3), func(i int, _ examples.Example) bool { return i < 3 }},
		"between":             {"--since " + at(3) + " --until " + at(6), func(i int, _ examples.Example) bool { return i >= 3 && i < 6 }},
		"an order's":          {"--since " + at(1) + " --order " + all[0].Key, func(i int, e examples.Example) bool { return i >= 1 && e.Key == all[0].Key }},
	} {
		t.Run(name, func(t *testing.T) {
			want := map[string]bool{}
			for i, e := range all {
				if c.want(i, e) {
					want[e.Header("ce_id")] = true
				}
			}
			code, out, errs := runEvents(t.Context(), brokers, append(strings.Fields(c.args), "--json")...)
			got := parse(t, out)
			for _, p := range got {
				if id := strings.Trim(string(p.Headers["ce_id"]), `"`); !want[id] {
					t.Errorf("%s is none of them", id)
				}
			}
			if code != exitOK || len(got) != len(want) {
				t.Errorf("code %d, %d records, want %d\n%s", code, len(got), len(want), errs)
			}
		})
	}
}

// The events of an order come by time, whatever topic they are in.
func TestEventsOfAnOrderAreInOrder(t *testing.T) {
	log, brokers := stocked(t, time.Now())
	at := time.Unix(1e9, 0).UTC()
	for i, topic := range []string{"payment.events.v1", "order.events.v1", "notification.events.v1", "order.events.v1"} {
		put(t, log, topic, broker.Record{Key: []byte("o-1"), Time: time.Now(), Value: []byte{},
			Headers: broker.HeadersOf("ce_type", topic, "ce_time", at.Add(-time.Duration(i)).Format(time.RFC3339Nano))})
	}
	code, out, errs := runEvents(t.Context(), brokers, "--order", "o-1")
	var topics []string
	for line := range strings.Lines(out) {
		topics = append(topics, strings.Fields(line)[2])
	}
	if code != exitOK || len(topics) != 4 || !strings.HasPrefix(topics[0], "order.") || !strings.HasPrefix(topics[1], "notification.") ||
		!strings.HasPrefix(topics[3], "payment.") {
		t.Errorf("code %d\n%s%s", code, out, errs)
	}
}

func TestWhatCannotBeDecodedIsNotLost(t *testing.T) {
	log, brokers := stocked(t, time.Now())
	shipped := []byte("\x0a\x02TR")
	newer := protowire.AppendTag(shipped[:len(shipped):len(shipped)], 9, protowire.VarintType)
	newer = protowire.AppendVarint(newer, 1)
	for name, c := range map[string]struct {
		typ, value string
		data, says string // data is that of the one line
		code       int
	}{
		"no schema":         {"troupe.shipping.v1.OrderShipped", string(shipped), "", `no schema here has the message "troupe.shipping.v1.OrderShipped"`, exitFailed},
		"an older schema":   {"google.protobuf.StringValue", string(newer), `"TR"`, "2 bytes of it are fields", exitFailed},
		"another payload":   {"troupe.order.v1.OrderPlaced", "\xff", "", "the payload is no troupe.order.v1.OrderPlaced", exitFailed},
		"no type":           {"", "\x00\x01", "", "no ce_type", exitFailed},
		"JSON":              {"", `{"kind":"retried"}`, `{"kind":"retried"}`, "", exitOK},
		"nothing to decode": {"troupe.deadletter.redriven", "", "", "", exitOK},
	} {
		t.Run(name, func(t *testing.T) {
			headers := broker.HeadersOf("twice", "1", "twice", "2", "bytes", "\xff")
			if c.typ != "" {
				headers = headers.Append("ce_type", []byte(c.typ))
			}
			put(t, log, "other.events.v1", broker.Record{Key: []byte(name), Value: []byte(c.value), Headers: headers, Time: time.Now()})
			args := []string{"--topic", "other.events.v1", "--order", name}
			code, out, errs := runEvents(t.Context(), brokers, append(args, "--json")...)
			got := parse(t, out)
			if code != c.code || len(got) != 1 || string(got[0].Data) != c.data || !strings.Contains(got[0].Error, c.says) || (got[0].Error == "") != (c.says == "") {
				t.Fatalf("code %d\n%s%s", code, out, errs)
			}
			if c.says != "" && (string(got[0].DataBase64) != c.value || !strings.Contains(errs, "1 of 1 records could not be decoded")) {
				t.Errorf("the bytes are %q\n%s", got[0].DataBase64, errs)
			}
			if h := got[0].Headers; string(h["twice"]) != `["1","2"]` || string(h["bytes"]) != `{"base64":"/w=="}` {
				t.Errorf("headers %s", h)
			}
			if _, plain, _ := runEvents(t.Context(), brokers, args...); !strings.Contains(plain, c.says) || strings.Count(plain, "\n") != 1 {
				t.Errorf("plain: %q", plain)
			}
		})
	}
}

func TestEventsFollow(t *testing.T) {
	log, brokers := stocked(t, time.Now().Add(-time.Hour))
	for name, args := range map[string][]string{"everything": nil, "an order": {"--order", "o-new", "--follow"}} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			said := make(chan string)
			ended := make(chan int)
			go func() { // received below
				ended <- execute(ctx, append([]string{"events", "--json", "--brokers", brokers}, args...), nil, lines(said), os.Stderr)
			}()
			// What is appended while it begins to read may be before its end of the log: so it is appended until it is seen.
			var line string
			for line == "" {
				put(t, log, "order.events.v1", broker.Record{Key: []byte("o-new"), Value: wrapped(t), Time: time.Now(),
					Headers: broker.HeadersOf("ce_type", "google.protobuf.StringValue")})
				select {
				case line = <-said:
				case <-time.After(50 * time.Millisecond):
				}
			}
			if got := parse(t, line); len(got) != 1 || got[0].Key != "o-new" || string(got[0].Data) != `"new"` {
				t.Errorf("got %s", line)
			}
			cancel()
			for {
				select {
				case <-said:
					continue
				case code := <-ended:
					if code != exitOK {
						t.Errorf("ended with %d", code)
					}
				}
				return
			}
		})
	}
}

func wrapped(t *testing.T) []byte {
	t.Helper()
	value, err := proto.Marshal(wrapperspb.String("new"))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// lines hands on each write.
type lines chan<- string

func (l lines) Write(b []byte) (int, error) {
	l <- string(b)
	return len(b), nil
}

func TestEventsRefuses(t *testing.T) {
	_, brokers := stocked(t, time.Now())
	for args, c := range map[string]struct {
		code int
		says string
	}{
		"--topic ordr.events.v1 --since 1h": {exitNotThere, `there is no topic "ordr.events.v1", or this user may not see it`},
		"--since yesterday":                 {exitUsage, `--since: must be a time such as `},
		"--until -5m":                       {exitUsage, `--until: must be a time such as `},
		"--since 5m --until 5m":             {exitUsage, "--until: must be later than --since"},
		"--since 2026-01-02T00:00:00Z --until 2026-01-01T00:00:00+01:00": {exitUsage, "--until: must be later than --since"},
		"--until 5m --follow":              {exitUsage, "--follow: goes on without an end"},
		"--brokers nowhere":                {exitUsage, `KAFKA_BROKERS: "nowhere" is not host:port`},
		"--brokers 127.0.0.1:1 --since 1h": {exitFailed, "127.0.0.1:1"},
		"orders":                           {exitUsage, `unknown command "orders" for "troupe events"`},
	} {
		t.Run(args, func(t *testing.T) {
			code, out, errs := runEvents(t.Context(), brokers, strings.Fields(args)...)
			first, _, _ := strings.Cut(errs, "\n")
			if code != c.code || out != "" || !strings.Contains(first, c.says) {
				t.Errorf("code %d\n%s%s", code, out, errs)
			}
		})
	}
}
