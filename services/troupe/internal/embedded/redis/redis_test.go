package redis_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2/proto"
	"github.com/troupe-dev/troupe/services/troupe/freeport"
	"github.com/troupe-dev/troupe/services/troupe/internal/embedded/redis"
)

// free returns an address nobody listens on.
func free(t *testing.T) string {
	t.Helper()
	port := freeport.Take()
	if port == 0 {
		t.Fatal("no free port")
	}
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// running runs f until the returned function is called, which waits for its end.
func running(t *testing.T, f func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	}
}

// eventually waits until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func TestRedisExpiresAndFlushes(t *testing.T) {
	addr := free(t)
	stop := running(t, func(ctx context.Context) error { return redis.Run(ctx, redis.Config{Addr: addr}) })
	defer stop()
	deadline := time.Now().Add(20 * time.Second)
	var c *proto.Client
	for c == nil {
		var err error
		if c, err = proto.Dial(addr); err != nil && time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	defer func() { _ = c.Close() }()
	do := func(cmd ...string) string {
		t.Helper()
		got, err := c.Do(cmd...)
		if err != nil {
			t.Fatalf("%v: %v", cmd, err)
		}
		return got
	}
	do("SET", "short", "1", "PX", "100")
	do("SET", "kept", "1")
	for do("EXISTS", "short") != proto.Int(0) {
		if time.Now().After(deadline) {
			t.Fatal("a key outlived its time to live")
		}
	}
	if got := do("EXISTS", "kept"); got != proto.Int(1) {
		t.Fatalf("EXISTS kept = %q", got)
	}
	if err := redis.Flush(t.Context(), addr); err != nil {
		t.Fatal(err)
	}
	if got := do("EXISTS", "kept"); got != proto.Int(0) {
		t.Errorf("after the flush EXISTS kept = %q", got)
	}
}

func TestConfigurationNamesTheVariable(t *testing.T) {
	if err := redis.Run(t.Context(), redis.Config{Addr: "x"}); err == nil || !strings.Contains(err.Error(), "REDIS_ADDR") {
		t.Errorf("error = %v", err)
	}
}
