package query_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/pkg/config"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/taskstore/storetest"
	"github.com/troupe-dev/troupe/pkg/view/viewtest"
	"github.com/troupe-dev/troupe/services/query"
	"github.com/troupe-dev/troupe/services/query/internal/querytest"
	"github.com/troupe-dev/troupe/services/query/internal/readmodel"
)

// service is a running query service on an empty broker and store.
type service struct {
	*querytest.Writer
	t    *testing.T
	url  string
	log  *broker.Client
	cfg  query.Config
	stop func() error
}

func start(t *testing.T) *service {
	t.Helper()
	cfg, err := config.Load[query.Config](nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Kafka, cfg.Redis.Addrs = brokertest.Fresh(t), []string{storetest.Addr(t)}
	cfg.HTTPAddr, cfg.Partitions = "127.0.0.1:0", viewtest.Partitions
	log, err := broker.Open(cfg.Kafka)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	s := &service{Writer: querytest.NewWriter(), t: t, log: log, cfg: cfg}
	s.run()
	return s
}

// run starts one more instance of the service, which is stopped when the test ends at the latest.
func (s *service) run() {
	s.t.Helper()
	listening := make(chan net.Addr, 1)
	s.cfg.Listening = func(a net.Addr) { listening <- a }
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- query.Run(ctx, s.cfg) }()
	stop := func() error { cancel(); err := <-ended; ended <- err; return err }
	s.stop = stop
	s.t.Cleanup(func() { _ = stop() })
	select {
	case a := <-listening:
		s.url = "http://" + a.String()
	case err := <-ended:
		ended <- err
		s.t.Fatalf("did not start: %v", err)
	}
}

// open makes the topics that the service waits for.
func (s *service) open() {
	s.t.Helper()
	var topics []broker.Topic
	for _, name := range readmodel.Topics {
		topics = append(topics, broker.Topic{Name: name, Partitions: viewtest.Partitions, Retention: 30 * 24 * time.Hour})
	}
	for _, name := range readmodel.Notes {
		topics = append(topics, broker.Topic{Name: name, Partitions: viewtest.Partitions, MaxBytes: 2 << 20}) // as their owners make them
	}
	if err := s.log.Provision(s.t.Context(), topics); err != nil {
		s.t.Fatal(err)
	}
	viewtest.Eventually(s.t, func() string {
		if code, body := s.get("/readyz"); code != http.StatusOK {
			return body
		}
		return ""
	})
}

// put produces records one by one and returns the consistency token of the last.
func (s *service) put(records ...broker.Record) (token string) {
	s.t.Helper()
	for _, r := range records {
		tp := broker.TopicPartition{Topic: r.Topic, Partition: r.Partition}
		viewtest.Eventually(s.t, func() (failed string) {
			s.log.Produce(s.t.Context(), []broker.Batch{{TopicPartition: tp, Records: []broker.Record{r}}}, func(p broker.Produced) {
				if p.Err != nil {
					failed = p.Err.Error() // right after a topic is made, a leader may not know it yet
					return
				}
				token = event.Token(tp, p.Base)
			})
			return failed
		})
	}
	return token
}

func (s *service) get(path string, headers ...string) (code int, body string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestServiceFromTopicToReader(t *testing.T) {
	s := start(t)
	if code, body := s.get("/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "query") {
		t.Errorf("without its topics: %d %s", code, body)
	}
	if code, _ := s.get("/livez"); code != http.StatusOK {
		t.Errorf("alive: %d", code)
	}
	s.open()
	var ids []string
	tokens := map[string]string{}
	for name, story := range ways {
		for i := range 5 {
			id := viewtest.ID(fmt.Sprint(name, i))
			ids = append(ids, id)
			tokens[id] = s.put(story(s.Writer, id, "c-"+strconv.Itoa(i))...)
		}
	}
	refunded := viewtest.ID("refunded0")
	if code, body := s.get("/orders/"+refunded+"?until=settled", "Consistency-Token", tokens[refunded], "Prefer", "wait=30"); code != http.StatusOK || !strings.Contains(body, `"status":"failed"`) {
		t.Errorf("%d %s", code, body) // its last record is a mail that was refused
	}
	equal := func() {
		t.Helper()
		for _, id := range ids {
			var records []broker.Record
			for _, r := range s.readAll(id) {
				if string(r.Key) == id {
					records = append(records, r)
				}
			}
			want := query.FoldOrder(records)
			viewtest.Eventually(t, func() string {
				got, ok, err := query.ReadOrder(t.Context(), s.cfg.Redis, viewtest.Partitions, id)
				if d := cmp.Diff(want, got); d != "" || !ok || err != nil {
					return fmt.Sprint(ok, err, d)
				}
				return ""
			})
		}
	}
	equal()
	if _, body := s.get("/orders?status=confirmed"); strings.Count(body, `"status":"confirmed"`) != 5 {
		t.Errorf("the list of confirmed orders: %s", body)
	}
	code, body := s.get("/orders/" + viewtest.ID("confirmed0") + "/events")
	var told struct{ Events []struct{ Type string } }
	if err := json.Unmarshal([]byte(body), &told); code != http.StatusOK || err != nil || len(told.Events) != 4 {
		t.Errorf("%d %s", code, body)
	}

	// Redis forgets everything: nothing is wrong, and a moment later all is there again.
	rdb := redis.NewClient(&redis.Options{Addr: s.cfg.Redis.Addrs[0]})
	defer func() { _ = rdb.Close() }()
	if err := rdb.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if code, body := s.get("/orders/"+viewtest.ID("confirmed0"), "Prefer", "wait=30"); code != http.StatusOK {
		t.Errorf("after a wipe: %d %s", code, body)
	}
	equal()

	// A stop ends open streams and loses nothing; what happened meanwhile is there after the next start.
	stream, err := http.Get(s.url + "/orders/" + viewtest.ID("placed0") + "/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stream.Body.Close() }()
	line := bufio.NewScanner(stream.Body)
	for line.Scan() && !strings.HasPrefix(line.Text(), "data: ") {
	}
	if err := s.stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	for line.Scan() {
	}
	if err := line.Err(); err != nil {
		t.Errorf("the stream was cut, not ended: %v", err)
	}
	ids = append(ids, viewtest.ID("while away"))
	token := s.put(s.Confirmed(viewtest.ID("while away"), "c-9")...)
	s.run()
	if code, body := s.get("/orders/"+viewtest.ID("while away"), "Consistency-Token", token, "Prefer", "wait=30"); code != http.StatusOK {
		t.Errorf("after a restart: %d %s", code, body)
	}
	equal()
}

// readAll reads the partition of an order in every topic.
func (s *service) readAll(id string) (records []broker.Record) {
	s.t.Helper()
	var logs []broker.TopicPartition
	for _, topic := range readmodel.Topics {
		logs = append(logs, broker.TopicPartition{Topic: topic, Partition: broker.Partition([]byte(id), viewtest.Partitions)})
	}
	ends, err := s.log.Ends(s.t.Context(), logs)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, tp := range logs {
		for at := int64(0); at < ends[tp]; {
			got, err := s.log.Fetch(s.t.Context(), []broker.Position{{TopicPartition: tp, Offset: at}})
			if err != nil || got[0].Err != nil {
				s.t.Fatal(err, got)
			}
			records, at = append(records, got[0].Records...), got[0].Next
		}
	}
	return records
}

func TestOneClientHasAsManyStreamsAsIsSet(t *testing.T) {
	s := start(t)
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	s.cfg.PerClient = 1
	s.run()
	s.open()
	id := viewtest.ID("o")
	token := s.put(s.Placed(id, "c-1"))
	if code, body := s.get("/orders/"+id, "Consistency-Token", token, "Prefer", "wait=20"); code != http.StatusOK {
		t.Fatal(code, body)
	}
	for n, want := range []int{http.StatusOK, http.StatusTooManyRequests} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/orders/"+id+"/stream", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }() // both are open at once
		if resp.StatusCode != want {
			t.Errorf("stream %d: %s, not %d", n+1, resp.Status, want)
		}
	}
}

func TestWrongVariablesAreNamed(t *testing.T) {
	for _, variable := range []string{"MAX_STREAMS=0", "RETENTION=1m", "PARTITIONS=0", "DRAIN=-1s", "RETENTION=month"} {
		_, err := config.Load[query.Config]([]string{variable})
		if name, _, _ := strings.Cut(variable, "="); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", variable, err)
		}
	}
}
