// Package flow is the choreography that every peer of the benchmark performs: order → payment → order → notification → read model,
// as JSON of about 300 bytes, with a Redis key per event against duplicates. How records are consumed and produced is the peer's.
package flow

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/wait"
)

// Topics, each with the same number of partitions; the key is the order id.
const (
	Placed    = "bench.order-placed"
	Paid      = "bench.payment-succeeded"
	Confirmed = "bench.order-confirmed"
	Notified  = "bench.notification-sent"
)

// Topics in the order in which an order passes them.
var Topics = []string{Placed, Paid, Confirmed, Notified}

// Message is an event.
type Message struct {
	ID       string `json:"id"`
	Type     string `json:"type"`
	OrderID  string `json:"order_id"`
	Cause    string `json:"cause,omitempty"`
	PlacedAt int64  `json:"placed_at"` // Unix microseconds at which the order was due
	Customer string `json:"customer_id"`
	Email    string `json:"email"`
	Currency string `json:"currency"`
	Total    int64  `json:"total"`
	Payment  string `json:"payment"`
	Lines    []Line `json:"lines"`
}

// Line is one position of an order.
type Line struct {
	SKU       string `json:"sku"`
	Name      string `json:"name"`
	Quantity  int    `json:"quantity"`
	UnitPrice int64  `json:"unit_price"`
}

// Order makes the n-th order, with the first of its possible ids that fits; nil: any does.
func Order(n int, due time.Time, fits func(id string) bool) Message {
	id := fmt.Sprintf("order-%08d", n)
	for try, plain := 1, id; fits != nil && !fits(id); try++ {
		id = plain + "." + strconv.Itoa(try)
	}
	return Message{
		ID: id + "/" + Placed, Type: Placed, OrderID: id, PlacedAt: due.UnixMicro(),
		Customer: fmt.Sprintf("c-%05d", n%10_000), Email: "ada@example.com", Currency: "EUR", Total: 2500, Payment: "pm_card_visa",
		Lines: []Line{{SKU: "TEA-250", Name: "Green tea", Quantity: 2, UnitPrice: 1250}},
	}
}

// Number of an order, from its id.
func Number(id string) (int, error) {
	number, _, _ := strings.Cut(strings.TrimPrefix(id, "order-"), ".")
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q is no id of an order here", id)
	}
	return n, nil
}

// Encode returns the record's value.
func (m Message) Encode() []byte {
	b, _ := json.Marshal(m) // plain data, cannot fail
	return b
}

// Decode reads a record's value.
func Decode(value []byte) (Message, error) {
	var m Message
	err := json.Unmarshal(value, &m)
	return m, err
}

// Stage is one service: what it listens to and what it answers with. The read model answers with nothing.
type Stage struct {
	Name string
	In   []string
	Out  string
}

// Stages of the flow.
var Stages = []Stage{
	{Name: "payment", In: []string{Placed}, Out: Paid},
	{Name: "order", In: []string{Paid}, Out: Confirmed},
	{Name: "notification", In: []string{Confirmed}, Out: Notified},
	{Name: "query", In: Topics},
}

// Env is what a peer runs in.
type Env struct {
	Brokers    []string
	Redis      *redis.Client
	Partitions int
	// Charge is how long the gateway takes.
	Charge time.Duration
	// Concurrency of the peers that have such a setting.
	Concurrency int
	// First is called when the first order is worked on, Done when the read model has an order's last event.
	First func()
	Done  func(orderID string, placed time.Time)

	// Moved is told how far a reader has come that does not look into what it reads; only the raw limit calls it.
	Moved func(topic string, partition int, next int64)

	once sync.Once
}

// Started tells First, once.
func (e *Env) Started() { e.once.Do(e.First) }

// Seen asks Redis whether these events were seen before, and remembers them: one round trip.
func (e *Env) Seen(ctx context.Context, s Stage, ms ...Message) ([]bool, error) {
	pipe := e.Redis.Pipeline()
	set := make([]*redis.BoolCmd, len(ms))
	for i, m := range ms {
		set[i] = pipe.SetNX(ctx, s.Name+":seen:"+m.ID, "1", 24*time.Hour)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, err
	}
	seen := make([]bool, len(ms))
	for i, c := range set {
		seen[i] = !c.Val()
	}
	return seen, nil
}

// React is the work of a stage on one event.
func (e *Env) React(ctx context.Context, s Stage, m Message) (Message, error) {
	if s.Name == "payment" {
		e.Started()
		if err := wait.Sleep(ctx, e.Charge); err != nil {
			return Message{}, err
		}
	}
	out := m
	out.ID, out.Type, out.Cause = m.OrderID+"/"+s.Out, s.Out, m.ID
	return out, nil
}

// Keep writes the state of the stage's orders: one round trip. For the read model that is the answer.
func (e *Env) Keep(ctx context.Context, s Stage, ms ...Message) error {
	pipe := e.Redis.Pipeline()
	for _, m := range ms {
		key := s.Name + ":order:" + m.OrderID
		if s.Out == "" {
			pipe.HSet(ctx, key, m.Type, m.Encode())
		} else {
			pipe.HSet(ctx, key, "status", s.Out)
		}
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	for _, m := range ms {
		if s.Out == "" && m.Type == Notified {
			e.Done(m.OrderID, time.UnixMicro(m.PlacedAt))
		}
	}
	return nil
}

// Batch does a stage's work on several events, with two round trips to Redis, and returns the answers.
func (e *Env) Batch(ctx context.Context, s Stage, ms []Message) ([]Message, error) {
	seen, err := e.Seen(ctx, s, ms...)
	if err != nil {
		return nil, err
	}
	var fresh, out []Message
	for i, m := range ms {
		if seen[i] {
			continue
		}
		fresh = append(fresh, m)
		if s.Out == "" {
			continue
		}
		answer, err := e.React(ctx, s, m)
		if err != nil {
			return nil, err
		}
		out = append(out, answer)
	}
	if len(fresh) == 0 {
		return nil, nil
	}
	return out, e.Keep(ctx, s, fresh...)
}
