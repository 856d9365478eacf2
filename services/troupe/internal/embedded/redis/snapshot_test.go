package redis_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2/proto"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/services/troupe/internal/embedded/redis"
)

// open returns the address of an empty Redis and a client: the embedded one, or the real one of TEST_REDIS_ADDR.
func open(t *testing.T) (string, func(...string) string) {
	t.Helper()
	addr := os.Getenv("TEST_REDIS_ADDR")
	if addr == "" {
		addr = free(t)
		t.Cleanup(running(t, func(ctx context.Context) error { return redis.Run(ctx, redis.Config{Addr: addr}) }))
	}
	var c *proto.Client
	eventually(t, "redis answers", func() (ok bool) {
		var err error
		c, err = proto.Dial(addr)
		return err == nil
	})
	t.Cleanup(func() { _ = c.Close() })
	do := func(cmd ...string) string {
		t.Helper()
		got, err := c.Do(cmd...)
		if err != nil {
			t.Fatalf("%v: %v", cmd, err)
		}
		return got
	}
	do("FLUSHALL")
	return addr, do
}

func TestSnapshotBringsEverythingBack(t *testing.T) {
	addr, do := open(t)
	odd := "\x00\xff\r\n é"
	do("SET", "s", odd, "PX", "3600000")
	do("HSET", "{payment:7}:meta", "owner", odd, "seq", "9007199254740993", "", "")
	do("RPUSH", "l", "b", "a", "b")
	do("SADD", "set", "x", "y")
	do("ZADD", "z", "1763848800123", "o1", "0.1", "o2", "-inf", "o3")
	many := []string{"HSET", "many"}
	for i := range 3000 {
		many = append(many, strconv.Itoa(i), strings.Repeat("v", i%10))
	}
	do(many...)
	state := func() string {
		return fmt.Sprint(do("GET", "s"), do("HMGET", "{payment:7}:meta", "owner", "seq", ""), do("LRANGE", "l", "0", "-1"),
			do("SISMEMBER", "set", "x"), do("SCARD", "set"), do("ZRANGE", "z", "0", "-1", "WITHSCORES"), do("HLEN", "many"),
			do("HGET", "many", "2999"), do("DBSIZE"))
	}
	want := state()
	var s redis.Snapshots
	if err := s.Take(t.Context(), addr); err != nil {
		t.Fatal(err)
	}
	do("DEL", "s", "l")
	do("HSET", "{payment:7}:meta", "owner", "another", "more", "1")
	do("SET", "new", "1")
	for range 2 { // it can be restored twice
		if err := s.Restore(t.Context(), addr); err != nil {
			t.Fatal(err)
		}
		if got := state(); got != want {
			t.Errorf("restored\n%q\nwant\n%q", got, want)
		}
	}
	if ttl, err := strconv.Atoi(strings.Trim(do("PTTL", "s"), ":\r\n")); err != nil || ttl < 3_500_000 || ttl > 3_600_000 {
		t.Errorf("time to live %d, %v", ttl, err)
	}
	if do("PTTL", "l") != proto.Int(-1) {
		t.Error("a key got a time to live")
	}
}

func TestSnapshotOfNothing(t *testing.T) {
	addr, do := open(t)
	var s redis.Snapshots
	if err := s.Restore(t.Context(), addr); fault.ClassOf(err) != fault.Conflict {
		t.Errorf("restored what was never taken: %v", err)
	}
	if err := s.Take(t.Context(), addr); err != nil {
		t.Fatal(err)
	}
	do("SET", "s", "1")
	if err := s.Restore(t.Context(), addr); err != nil || do("DBSIZE") != proto.Int(0) {
		t.Errorf("%v, %s keys", err, do("DBSIZE"))
	}
	do("XADD", "x", "*", "a", "b")
	if err := s.Take(t.Context(), addr); err == nil || !strings.Contains(err.Error(), "key x is a stream") {
		t.Errorf("a stream: %v", err)
	}
	if err := s.Take(t.Context(), "127.0.0.1:1"); fault.ClassOf(err) != fault.Unavailable {
		t.Errorf("nobody there: %v", err)
	}
}
