// Package storetest gives tests an empty Redis: an embedded one (miniredis), or the real one whose address is in
// TEST_REDIS_ADDR, which is flushed first.
package storetest

import (
	"os"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// Addr returns the address of an empty Redis that lives as long as the test. The log says which kind it is.
func Addr(t testing.TB) string {
	t.Helper()
	addr := os.Getenv("TEST_REDIS_ADDR")
	if addr == "" {
		t.Log("redis: embedded (miniredis)")
		return miniredis.RunT(t).Addr()
	}
	t.Logf("redis: real, %s", addr)
	c := redis.NewClient(&redis.Options{Addr: addr})
	defer func() { _ = c.Close() }()
	if err := c.FlushAll(t.Context()).Err(); err != nil {
		t.Fatalf("flush the Redis of TEST_REDIS_ADDR: %v", err)
	}
	return addr
}

// Fresh returns a client of an empty Redis, closed when the test ends.
func Fresh(t testing.TB) redis.UniversalClient {
	t.Helper()
	c := redis.NewUniversalClient(&redis.UniversalOptions{Addrs: []string{Addr(t)}})
	t.Cleanup(func() { _ = c.Close() })
	return c
}
