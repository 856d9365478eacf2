package query_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/view/viewtest"
	"github.com/troupe-dev/troupe/services/query/internal/readmodel"
)

// rebuild is the answer of /rebuild.
type rebuild struct {
	Active     bool
	Folded, Of int64
	Partitions []struct {
		State    string
		Clearing bool
	}
	Type string // of a problem
}

// operate asks /rebuild.
func (s *service) operate(method, body string) (code int, r rebuild) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+"/rebuild", strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, text, err)
	}
	return resp.StatusCode, r
}

// rebuilt waits until every partition is in a state.
func (s *service) rebuilt(state string) (last rebuild) {
	s.t.Helper()
	viewtest.Eventually(s.t, func() string {
		code, r := s.operate("GET", "")
		for p, of := range r.Partitions {
			if code != http.StatusOK || of.State != state || of.Clearing {
				return fmt.Sprint(code, " partition ", p, of)
			}
		}
		last = r
		return ""
	})
	return last
}

// readAlways reads at full speed until stop is called; every answer must be 200.
func (s *service) readAlways(paths []string) (stop func() int64) {
	ctx, cancel := context.WithCancel(s.t.Context())
	var readers sync.WaitGroup
	var reads atomic.Int64
	for reader := range 4 {
		readers.Go(func() {
			for i := reader; ctx.Err() == nil; i++ {
				path := paths[i%len(paths)]
				req, err := http.NewRequestWithContext(ctx, "GET", s.url+path, nil)
				if err != nil {
					s.t.Error(err)
					return
				}
				resp, err := http.DefaultClient.Do(req)
				if err == nil {
					_, err = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
				}
				switch {
				case ctx.Err() != nil:
				case err != nil || resp.StatusCode != http.StatusOK:
					s.t.Errorf("%s: %v %v", path, resp, err)
					return
				default:
					reads.Add(1)
				}
			}
		})
	}
	return func() int64 { cancel(); readers.Wait(); return reads.Load() }
}

// holdRebuilds keeps rebuilds from being swapped until goOn: no copy is level with a live one that has folded more than
// there is. Nothing may be written meanwhile.
func (s *service) holdRebuilds(rdb *redis.Client) (goOn func()) {
	s.t.Helper()
	ahead := func(p int, by int64) int64 {
		at, err := rdb.HIncrBy(s.t.Context(), fmt.Sprintf("{query:%d}:meta", p), "in:"+readmodel.Topics[0], by).Result()
		if err != nil {
			s.t.Fatal(err)
		}
		return at
	}
	logs := broker.LogsOf(viewtest.Partitions, readmodel.Topics[0])
	ends, err := s.log.Ends(s.t.Context(), logs)
	if err != nil {
		s.t.Fatal(err)
	}
	for p, tp := range logs {
		end := ends[tp]
		viewtest.Eventually(s.t, func() string { // its owner writes it once, when it is there
			at, err := rdb.HGet(s.t.Context(), fmt.Sprintf("{query:%d}:meta", p), "in:"+readmodel.Topics[0]).Int64()
			if err != nil || at != end {
				return fmt.Sprintf("partition %d has folded %d of %d: %v", p, at, end, err)
			}
			return ""
		})
		ahead(p, 1)
	}
	return func() {
		for p := range viewtest.Partitions {
			ahead(p, -1)
		}
	}
}

func TestReadsGoOnWhileTheReadModelIsRebuilt(t *testing.T) {
	s := start(t)
	s.open()
	first := s.url
	s.run() // the partitions are shared by two instances
	s.open()
	s.url = first
	paths := []string{"/orders", "/orders?status=cancelled", "/orders?customer_id=c-1", "/stats"}
	for i := range 30 {
		id := viewtest.ID(strconv.Itoa(i))
		token := s.put(s.Refunded(id, "c-"+strconv.Itoa(i%5))...)
		if code, body := s.get("/orders/"+id+"?until=settled", "Consistency-Token", token, "Prefer", "wait=30"); code != http.StatusOK {
			t.Fatal(code, body)
		}
		paths = append(paths, "/orders/"+id)
	}
	stop := s.readAlways(paths)
	for round := range 2 {
		if code, r := s.operate("POST", `{}`); code != http.StatusAccepted || !r.Active {
			t.Fatal(code, r)
		}
		token := s.put(s.Confirmed(viewtest.ID(fmt.Sprint("round ", round)), "c-9")...)
		r := s.rebuilt("swapped")
		if r.Folded != r.Of || r.Folded == 0 {
			t.Errorf("%+v", r)
		}
		if code, body := s.get("/orders/"+viewtest.ID(fmt.Sprint("round ", round)), "Consistency-Token", token, "Prefer", "wait=30"); code != http.StatusOK {
			t.Error(code, body)
		}
	}
	if reads := stop(); reads < 100 {
		t.Errorf("only %d reads", reads)
	} else {
		t.Logf("%d reads, all answered", reads)
	}
}

func TestOperatorsRebuildTheReadModel(t *testing.T) {
	s := start(t)
	if code, r := s.operate("POST", `{}`); code != http.StatusServiceUnavailable {
		t.Errorf("beside nothing: %d %+v", code, r)
	}
	s.open()
	id := viewtest.ID("o")
	token := s.put(s.Confirmed(id, "c-1")...)
	s.get("/orders/"+id, "Consistency-Token", token, "Prefer", "wait=30")
	if code, r := s.operate("GET", ""); code != http.StatusOK || r.Active || len(r.Partitions) != viewtest.Partitions || r.Partitions[0].State != "none" {
		t.Errorf("before the first: %d %+v", code, r)
	}
	for _, c := range []struct {
		method, body, problem string
		code                  int
	}{
		{"DELETE", "", "no-rebuild", 409}, {"POST", `{"keep":true}`, "invalid-request", 400}, {"POST", `[]`, "invalid-request", 400},
	} {
		if code, r := s.operate(c.method, c.body); code != c.code || r.Type != "urn:troupe:problem:"+c.problem {
			t.Errorf("%s %s: %d %+v", c.method, c.body, code, r)
		}
	}
	rdb := redis.NewClient(&redis.Options{Addr: s.cfg.Redis.Addrs[0]})
	defer func() { _ = rdb.Close() }()
	key := fmt.Sprintf("{query:%d}:order:%s", broker.Partition([]byte(id), viewtest.Partitions), id)
	doc := rdb.Get(t.Context(), key).Val()
	if err := rdb.Set(t.Context(), key, strings.Replace(doc, "Green tea", "Black tea", 1), 0).Err(); err != nil {
		t.Fatal(err)
	}
	if _, body := s.get("/orders/" + id); !strings.Contains(body, "Black tea") {
		t.Fatalf("the read model is not wrong: %s", body)
	}
	goOn := s.holdRebuilds(rdb)
	if code, r := s.operate("POST", `{}`); code != http.StatusAccepted {
		t.Fatal(code, r)
	}
	if code, r := s.operate("POST", `{}`); code != http.StatusConflict || r.Type != "urn:troupe:problem:rebuild-running" {
		t.Errorf("one beside the other: %d %+v", code, r)
	}
	goOn()
	s.rebuilt("swapped")
	if _, body := s.get("/orders/" + id); !strings.Contains(body, "Green tea") {
		t.Errorf("not healed: %s", body)
	}
}
