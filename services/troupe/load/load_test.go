package load_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/services/troupe/load"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

// door answers as the order service does, with trouble now and then.
type door struct {
	mu      sync.Mutex
	posts   map[string]int
	cancels map[string]int
	split   bool // a retry becomes another order
	refuse  bool
}

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r.Method == http.MethodGet {
		problem.Write(w, r, fault.New(fault.NotFound, "not asked here"))
		return
	}
	if id, ok := strings.CutSuffix(r.URL.Path, "/cancel"); ok {
		d.cancels[strings.TrimPrefix(id, "/orders/")]++
		fmt.Fprint(w, `{"id":"x","status":"placed","consistency_token":"t"}`)
		return
	}
	key := r.Header.Get("Idempotency-Key")
	d.posts[key]++
	var o rest.PlaceOrder
	_ = json.NewDecoder(r.Body).Decode(&o)
	switch {
	case d.refuse:
		problem.Write(w, r, fault.Field("/currency", "no"))
	case d.posts[key] == 1 && strings.HasSuffix(key, "1"):
		problem.Write(w, r, fault.New(fault.Unavailable, "later"))
	case d.posts[key] == 1 && strings.HasSuffix(key, "2"):
		problem.Write(w, r, problem.New(http.StatusConflict, "request-in-flight", "In flight", ""))
	default:
		id := "order-" + key
		if d.split {
			id += fmt.Sprint(d.posts[key])
		}
		fmt.Fprintf(w, `{"id":%q,"status":"placed","total":%d,"currency":"EUR","consistency_token":"t"}`, id, int64(o.Lines[0].Quantity)*o.Lines[0].UnitPrice)
	}
}

func run(t *testing.T, d *door, p load.Plan) load.Result {
	t.Helper()
	d.posts, d.cancels = map[string]int{}, map[string]int{}
	srv := httptest.NewServer(d)
	defer srv.Close()
	calls := 0
	r, err := p.Run(t.Context(), []*rest.Client{rest.New(srv.URL, srv.URL), rest.New(srv.URL, srv.URL)}, func(n int) {
		if calls++; calls != n {
			t.Errorf("call %d says %d", calls, n)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEveryCustomerIsAnswered(t *testing.T) {
	d := &door{}
	p := load.Plan{Orders: 300, PerSecond: 1e5, DeclinedOneIn: 10, CancelledOneIn: 10, TwiceOneIn: 20, Seed: 7}
	r := run(t, d, p)
	if len(r.Violations) > 0 || len(r.Expected) != 300 || len(d.posts) != 300 {
		t.Fatalf("%d answered, %d placed, violations %v", len(r.Expected), len(d.posts), r.Violations)
	}
	declined, cancelled, posts := 0, 0, 0
	for _, e := range r.Expected {
		if e.Declined {
			declined++
		}
		if e.CancelAsked {
			cancelled++
			if d.cancels[e.ID] != 1 {
				t.Errorf("order %s was cancelled %d times", e.ID, d.cancels[e.ID])
			}
		}
	}
	for _, n := range d.posts {
		posts += n
	}
	if declined < 10 || declined > 60 || cancelled < 10 || cancelled > 60 || r.Twice < 3 || r.Twice > 40 {
		t.Errorf("%d declined, %d cancelled, %d twice of 300", declined, cancelled, r.Twice)
	}
	if r.Retries < 50 || posts != 300+r.Twice+r.Retries {
		t.Errorf("%d requests for 300 orders, %d twice, %d retries", posts, r.Twice, r.Retries)
	}
}

func TestTellsWhatTheDoorBreaks(t *testing.T) {
	p := load.Plan{Orders: 1, PerSecond: 1e5, TwiceOneIn: 1}
	if r := run(t, &door{split: true}, p); len(r.Violations) != 1 || !strings.Contains(r.Violations[0], "became two orders") {
		t.Errorf("violations %q", r.Violations)
	}
	p.TwiceOneIn = 0
	if r := run(t, &door{refuse: true}, p); len(r.Violations) != 1 || !strings.Contains(r.Violations[0], "/currency") || len(r.Expected) != 0 {
		t.Errorf("violations %q, expected %v", r.Violations, r.Expected)
	}
}

func TestKeepsTheRate(t *testing.T) {
	began := time.Now()
	run(t, &door{}, load.Plan{Orders: 21, PerSecond: 100, Seed: 1})
	if took := time.Since(began); took < 200*time.Millisecond {
		t.Errorf("21 orders at 100/s took %s", took)
	}
}

// While nobody is answered, few more come.
func TestCustomersWhoAreNotAnsweredKeepOthersAway(t *testing.T) {
	var mu sync.Mutex
	keys, requests, enough := map[string]bool{}, 0, make(chan struct{})
	opened := 0 // how many customers there were when the door opened
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		keys[r.Header.Get("Idempotency-Key")] = true
		if requests++; requests < 150 {
			problem.Write(w, r, fault.New(fault.Unavailable, "later"))
			return
		}
		if requests == 150 {
			opened = len(keys)
			close(enough)
		}
		problem.Write(w, r, fault.Field("/currency", "no"))
	}))
	defer srv.Close()
	p := load.Plan{Orders: 2, PerSecond: 1e5, More: enough, MorePerSecond: 1e3}
	if _, err := p.Run(t.Context(), []*rest.Client{rest.New(srv.URL, srv.URL)}, nil); err != nil || opened > 33 {
		t.Errorf("%d customers waited, %v", opened, err)
	}
}

func TestCustomersKeepComingUntilToldToStop(t *testing.T) {
	d, enough := &door{posts: map[string]int{}, cancels: map[string]int{}}, make(chan struct{})
	srv := httptest.NewServer(d)
	defer srv.Close()
	p := load.Plan{Orders: 2, PerSecond: 1e5, More: enough, MorePerSecond: 1e3, SlowOneIn: 1}
	r, err := p.Run(t.Context(), []*rest.Client{rest.New(srv.URL, srv.URL)}, func(n int) {
		if n == 20 {
			close(enough)
		}
	})
	if err != nil || len(r.Expected) < 20 || len(r.Expected) > 200 {
		t.Errorf("%d orders, %v", len(r.Expected), err)
	}
}
