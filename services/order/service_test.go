package order

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/pkg/config"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/participant"
	"github.com/troupe-dev/troupe/pkg/taskstore/storetest"
	"google.golang.org/protobuf/proto"
)

const (
	partitions = 3
	patience   = 30 * time.Second
)

// running is an order service, with the world around it.
type running struct {
	t     *testing.T
	url   string
	log   *broker.Client
	redis string
	stop  func() error
}

// start runs the service on an empty broker and store. The payment topic, which it waits for, is not there yet.
func start(t *testing.T, deadline time.Duration) *running {
	cfg, err := config.Load[Config](nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Kafka, cfg.Redis.Addrs = brokertest.Fresh(t), []string{storetest.Addr(t)}
	cfg.HTTPAddr, cfg.Partitions, cfg.API.PaymentDeadline = "127.0.0.1:0", partitions, deadline
	listening := make(chan net.Addr, 1)
	cfg.Listening = func(a net.Addr) { listening <- a }
	log, err := broker.Open(cfg.Kafka)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, cfg) }()
	stop := func() error { cancel(); err := <-ended; ended <- err; return err }
	t.Cleanup(func() { _ = stop() })
	select {
	case a := <-listening:
		return &running{t: t, url: "http://" + a.String(), log: log, redis: cfg.Redis.Addrs[0], stop: stop}
	case err := <-ended:
		ended <- err
		t.Fatalf("did not start: %v", err)
		return nil
	}
}

// eventually waits for a condition.
func (s *running) eventually(what string, cond func() bool) {
	s.t.Helper()
	deadline := time.After(patience)
	for !cond() {
		select {
		case <-deadline:
			s.t.Fatalf("not within %s: %s", patience, what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// open lets the service become ready.
func (s *running) open() {
	s.t.Helper()
	if err := s.log.Provision(s.t.Context(), []broker.Topic{
		{Name: participant.FactsTopic("payment"), Partitions: partitions, Retention: 30 * 24 * time.Hour},
	}); err != nil {
		s.t.Fatal(err)
	}
	s.eventually("ready", func() bool { return s.get("/readyz") == http.StatusOK })
}

func (s *running) get(path string) int {
	resp, err := http.Get(s.url + path)
	if err != nil {
		s.t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp.StatusCode
}

// answer of the service, as far as it matters here.
type answer struct {
	Code     int
	Location string
	ID       string `json:"id"`
	Status   string `json:"status"`
	Total    int64  `json:"total"`
	Token    string `json:"consistency_token"`
}

func (s *running) post(path, key, body string) answer {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url+path, bytes.NewBufferString(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	a := answer{Code: resp.StatusCode, Location: resp.Header.Get("Location")}
	if a.Code == http.StatusAccepted { // a problem document otherwise
		err = json.NewDecoder(resp.Body).Decode(&a)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

// facts returns the events of an order in a topic, in order.
func (s *running) facts(topic, id string) []event.Message {
	s.t.Helper()
	tp := broker.TopicPartition{Topic: topic, Partition: broker.Partition([]byte(id), partitions)}
	var got []event.Message
	for at, end := int64(0), int64(1); at < end; {
		fetched, err := s.log.Fetch(s.t.Context(), []broker.Position{{TopicPartition: tp, Offset: at}})
		if err != nil || fetched[0].Err != nil {
			return nil // a leader that moves: asked again
		}
		for _, r := range fetched[0].Records {
			e, err := event.FromRecord(r)
			if err != nil {
				s.t.Fatal(err)
			}
			m, err := event.Decode(e)
			if err != nil {
				s.t.Fatal(err)
			}
			if e.Subject == id {
				got = append(got, m)
			}
		}
		at, end = fetched[0].Next, fetched[0].End
	}
	return got
}

// await waits until an order's own topic holds these types, in this order, and returns the events.
func (s *running) await(id string, types ...string) []event.Message {
	s.t.Helper()
	var got []event.Message
	var names []string
	s.eventually("the events "+id, func() bool {
		got, names = s.facts(participant.FactsTopic(Name), id), nil
		for _, m := range got {
			names = append(names, m.Type[len("troupe.order.v1."):])
		}
		if len(names) > len(types) {
			s.t.Fatalf("order %s has %v, want %v", id, names, types)
		}
		return slices.Equal(names, types)
	})
	return got
}

// pay publishes what payment answers to OrderPlaced.
func (s *running) pay(placed event.Message, body proto.Message) {
	s.t.Helper()
	data, err := event.Encode(body)
	if err != nil {
		s.t.Fatal(err)
	}
	typ := event.TypeOf(body)
	e := event.Event{
		ID: event.FactID(placed.ID, "payment", typ), Type: typ, Source: "payment", Subject: placed.Subject, Time: time.Now(), Sequence: 1,
		CausationID: placed.ID, Data: data,
	}
	r := event.ToRecord(e, participant.FactsTopic("payment"), broker.Partition([]byte(placed.Subject), partitions))
	s.log.Produce(s.t.Context(), []broker.Batch{{
		TopicPartition: broker.TopicPartition{Topic: r.Topic, Partition: r.Partition}, Records: []broker.Record{r},
	}}, func(p broker.Produced) {
		if p.Err != nil {
			s.t.Error(p.Err)
		}
	})
}
