package hold_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/loadtest/prove/hold"
	"github.com/troupe-dev/troupe/pkg/taskstore/storetest"
)

// within bounds every wait of these tests.
const within = 30 * time.Second

func hit(t *testing.T, h *hold.Held) hold.Hit {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	got, err := h.Caught(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// until asks again and again until ok.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(within); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// redisPair is one client through the proxy, and one beside it.
func redisPair(t *testing.T) (p *hold.Redis, through, beside *redis.Client) {
	t.Helper()
	upstream := storetest.Addr(t)
	p = hold.NewRedis(upstream)
	t.Cleanup(p.Close)
	addr, err := p.Addr("payment-2")
	if err != nil {
		t.Fatal(err)
	}
	open := func(addr string) *redis.Client {
		c := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, PoolSize: 1, ReadTimeout: within})
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	return p, open(addr), open(upstream)
}

func key(name string) func(hold.Command) bool {
	return func(c hold.Command) bool {
		return len(c.Args) > 1 && strings.EqualFold(c.Args[0], "SET") && c.Args[1] == name
	}
}

func TestRedisPassesPipelinesAndEveryKindOfAnswer(t *testing.T) {
	_, through, beside := redisPair(t)
	pipe := through.Pipeline()
	for i := range 2000 {
		pipe.HSet(t.Context(), "h", fmt.Sprint(i), strings.Repeat("x\r\n", i%7))
	}
	all := pipe.HGetAll(t.Context(), "h")
	none := pipe.Get(t.Context(), "none")
	if _, err := pipe.Exec(t.Context()); err != nil && !errors.Is(err, redis.Nil) {
		t.Fatal(err)
	}
	if len(all.Val()) != 2000 || !errors.Is(none.Err(), redis.Nil) || all.Val()["6"] != strings.Repeat("x\r\n", 6) {
		t.Errorf("%d fields; a missing key is %v", len(all.Val()), none.Err())
	}
	if err := through.Do(t.Context(), "NONSENSE").Err(); err == nil {
		t.Error("an error was lost")
	}
	got, err := redis.NewScript(`return {1, {"a", false}, {ok='fine'}}`).Run(t.Context(), through, []string{"k"}).Slice()
	if err != nil || fmt.Sprint(got) != "[1 [a <nil>] fine]" {
		t.Errorf("script answered %v, %v", got, err)
	}
	if n, err := beside.HLen(t.Context(), "h").Result(); err != nil || n != 2000 {
		t.Errorf("beside the proxy: %d, %v", n, err)
	}
}

func TestRedisHoldsBefore(t *testing.T) {
	p, through, beside := redisPair(t)
	h := p.Hold(key("b"), hold.Before)
	set := set(through, "a", "b", "c")
	if got := hit(t, h); got.Client != "payment-2" || got.What != "set b" && got.What != "SET b" {
		t.Errorf("held %+v", got)
	}
	until(t, "what came before passes", func() bool { return exists(beside, "a") })
	if exists(beside, "b") || exists(beside, "c") {
		t.Error("what was held, or came behind it, has happened")
	}
	h.Release()
	if err := <-set; err != nil || !exists(beside, "b") || !exists(beside, "c") {
		t.Errorf("after the release: %v", err)
	}
}

func TestRedisHoldsAfter(t *testing.T) {
	p, through, beside := redisPair(t)
	h := p.Hold(key("b"), hold.After)
	set := set(through, "a", "b", "c")
	hit(t, h)
	if !exists(beside, "b") || exists(beside, "c") {
		t.Error("held after: b must be done, and c behind it not")
	}
	select {
	case err := <-set:
		t.Fatalf("the answer was not held: %v", err)
	default:
	}
	h.Drop()
	if err := <-set; err == nil {
		t.Error("a dropped answer arrived")
	}
	if exists(beside, "c") {
		t.Error("what was behind the dropped answer has happened")
	}
}

func TestRedisDropsBefore(t *testing.T) {
	p, through, beside := redisPair(t)
	h := p.Hold(key("b"), hold.Before)
	set := set(through, "b")
	hit(t, h)
	h.Drop()
	if err := <-set; err == nil || exists(beside, "b") {
		t.Errorf("a dropped command: %v", err)
	}
}

// The client is gone, another one does it again, and what was sent first arrives last.
func TestRedisDeliversLate(t *testing.T) {
	p, through, beside := redisPair(t)
	h := p.Hold(key("b"), hold.Before)
	set := set(through, "b")
	hit(t, h)
	again := redis.NewClient(through.Options())
	defer func() { _ = again.Close() }()
	if err := errors.Join(through.Close(), again.Set(t.Context(), "b", "again", 0).Err()); err != nil {
		t.Fatal(err)
	}
	if err := <-set; err == nil {
		t.Error("the client was answered")
	}
	h.Release()
	until(t, "the late command arrives", func() bool { return beside.Get(t.Context(), "b").Val() == "1" })
}

// A refused change has not happened: its hold waits for one that has.
func TestRedisWaitsForWhatHappened(t *testing.T) {
	p, through, beside := redisPair(t)
	h := p.Hold(func(c hold.Command) bool { return c.Args[0] == "INCR" || c.Args[0] == "incr" }, hold.After)
	if err := beside.Set(t.Context(), "n", "no number", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if err := through.Incr(t.Context(), "n").Err(); err == nil {
		t.Fatal("INCR of a word")
	}
	done := make(chan error, 1)
	go func() { done <- through.Incr(context.Background(), "m").Err() }()
	hit(t, h)
	if !exists(beside, "m") {
		t.Error("hit by what had not happened")
	}
	h.Release()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A server that dies before it answers leaves the hold armed.
func TestRedisHoldIsArmedAgainWhenNoAnswerComes(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	t.Cleanup(serving.Wait)
	t.Cleanup(func() { _ = server.Close() })
	serving.Go(func() {
		for _, answer := range []string{"", "+OK\r\n"} { // dies, and is there again
			c, err := server.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 100))
			_, _ = c.Write([]byte(answer))
			_ = c.Close()
		}
	})
	p := hold.NewRedis(server.Addr().String())
	defer p.Close()
	addr, err := p.Addr("payment")
	if err != nil {
		t.Fatal(err)
	}
	ask := func() <-chan string {
		got := make(chan string, 1)
		go func() {
			defer close(got)
			c, err := net.Dial("tcp", addr)
			if err != nil {
				return
			}
			defer func() { _ = c.Close() }()
			_, _ = c.Write([]byte("*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$1\r\n1\r\n"))
			answer, _ := io.ReadAll(c)
			got <- string(answer)
		}()
		return got
	}
	h := p.Hold(key("b"), hold.After)
	if got := <-ask(); got != "" {
		t.Fatalf("a dead server said %q", got)
	}
	again := ask()
	hit(t, h)
	h.Release()
	if got := <-again; got != "+OK\r\n" {
		t.Errorf("got %q", got)
	}
}

func TestRedisTakesAHoldAway(t *testing.T) {
	p, through, _ := redisPair(t)
	p.Hold(key("b"), hold.Before).Release()
	if err := <-set(through, "b"); err != nil {
		t.Error(err)
	}
}

func TestRedisCloseDropsWhatIsHeld(t *testing.T) {
	p, through, beside := redisPair(t)
	before, after := p.Hold(key("b"), hold.Before), p.Hold(key("c"), hold.After)
	done := set(through, "c")
	hit(t, after)
	p.Close()
	if err := <-done; err == nil {
		t.Error("the connection outlived its proxy")
	}
	before.Release()
	if _, err := p.Addr("late"); err == nil {
		t.Error("a closed proxy opened a door")
	}
	if exists(beside, "b") {
		t.Error("b was never sent")
	}
}

// set sends all keys in one pipeline.
func set(c *redis.Client, keys ...string) <-chan error {
	done := make(chan error, 1)
	go func() {
		pipe := c.Pipeline()
		for _, k := range keys {
			pipe.Set(context.Background(), k, "1", 0)
		}
		_, err := pipe.Exec(context.Background())
		done <- err
	}()
	return done
}

func exists(c *redis.Client, key string) bool {
	n, err := c.Exists(context.Background(), key).Result()
	return err == nil && n == 1
}

func TestRedisShiftsTheTime(t *testing.T) {
	p, through, beside := redisPair(t)
	apart := func() time.Duration {
		t.Helper()
		pipe := through.Pipeline()
		before, said, after := pipe.Echo(t.Context(), "a"), pipe.Time(t.Context()), pipe.Echo(t.Context(), "b")
		if _, err := pipe.Exec(t.Context()); err != nil || before.Val() != "a" || after.Val() != "b" {
			t.Fatalf("around TIME: %q and %q, %v", before.Val(), after.Val(), err)
		}
		now, err := beside.Time(t.Context()).Result()
		if err != nil {
			t.Fatal(err)
		}
		return said.Val().Sub(now).Round(10 * time.Second)
	}
	for _, by := range []time.Duration{0, 17 * time.Minute, -17 * time.Minute, 0} {
		p.ShiftTime(by)
		if p.ToldTime("payment-2") {
			t.Error("told before it asked")
		}
		if got := apart(); got != by || !p.ToldTime("payment-2") || p.ToldTime("payment") {
			t.Errorf("shifted by %s, not %s; told %t", got, by, p.ToldTime("payment-2"))
		}
	}
}

// Who subscribes hears at once, however often it asks, and is answered while it does.
func TestRedisSubscribersHearAtOnce(t *testing.T) {
	_, through, beside := redisPair(t)
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	sub := through.Subscribe(ctx, "one", "two")
	defer func() { _ = sub.Close() }()
	receive := func() any {
		t.Helper()
		got, err := sub.ReceiveTimeout(ctx, within)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	for range 2 {
		if s, ok := receive().(*redis.Subscription); !ok || s.Kind != "subscribe" {
			t.Fatalf("not subscribed: %v", s)
		}
	}
	for n := range 3 {
		text := fmt.Sprint("message ", n)
		if err := beside.Publish(ctx, "two", text).Err(); err != nil {
			t.Fatal(err)
		}
		if m, ok := receive().(*redis.Message); !ok || m.Payload != text {
			t.Errorf("heard %v, want %q", m, text)
		}
		if err := sub.Ping(ctx, text); err != nil {
			t.Fatal(err)
		}
		if p, ok := receive().(*redis.Pong); !ok || p.Payload != text {
			t.Errorf("answered %v, want %q", p, text)
		}
	}
}
