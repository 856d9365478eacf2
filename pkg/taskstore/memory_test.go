package taskstore_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/taskstore"
)

// A Redis that says of its memory what a test wants; nil: it forbids the question.
type said struct {
	info  atomic.Pointer[string]
	oom   atomic.Bool
	asked atomic.Int64
}

func (s *said) set(policy, used, most string) {
	text := "# Memory\r\nused_memory:" + used + "\r\nmaxmemory:" + most + "\r\nmaxmemory_policy:" + policy + "\r\n"
	s.info.Store(&text)
}

func (s *said) answer(c *server.Peer, cmd string, _ ...string) bool {
	switch cmd {
	case "INFO":
		s.asked.Add(1)
		if text := s.info.Load(); text != nil {
			c.WriteBulk(*text)
		} else {
			c.WriteError("NOPERM User app has no permissions to run the 'info' command")
		}
	case "CONFIG":
		c.WriteError("ERR unknown command 'CONFIG'")
	case "SET":
		if !s.oom.Load() {
			return false
		}
		c.WriteError("OOM command not allowed when used memory > 'maxmemory'.")
	default:
		return false
	}
	return true
}

// watched is a client of such a Redis, and what the log is told.
func watched(t *testing.T) (*said, redis.UniversalClient, *taskstore.Memory, *bytes.Buffer) {
	var logged bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&logged, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	s, mini := new(said), miniredis.RunT(t)
	mini.Server().SetPreHook(s.answer)
	rdb := redis.NewUniversalClient(&redis.UniversalOptions{Addrs: []string{mini.Addr()}})
	t.Cleanup(func() { _ = rdb.Close() })
	return s, rdb, taskstore.WatchMemory(rdb), &logged
}

func lines(logged *bytes.Buffer, text string) int { return strings.Count(logged.String(), text) }

// A Redis that deletes keys by itself is asked for nothing, from the first command on; without a limit too, since one
// may be set.
func TestAnEvictingRedisIsRefused(t *testing.T) {
	for _, policy := range []string{"allkeys-lru", "volatile-ttl", "allkeys-random"} {
		s, rdb, memory, logged := watched(t)
		s.set(policy, "1000", "0")
		st := taskstore.New(rdb, "clerk")
		for range 3 {
			if _, err := st.Claim(t.Context(), 0, "owner"); fault.ClassOf(err) != fault.Unavailable || !strings.Contains(err.Error(), policy) {
				t.Fatalf("claim: %v", err)
			}
			if out := st.Apply(t.Context(), []taskstore.Change{{Owner: "owner"}, {Owner: "owner", Ops: []taskstore.Op{{Cmd: "SET"}}}}); out[0].Err == nil || out[1].Err == nil {
				t.Fatalf("apply: %v", out)
			}
		}
		if err := memory.Ready(); err == nil || !strings.Contains(err.Error(), policy) || lines(logged, "level=ERROR") != 1 {
			t.Errorf("ready: %v; logged: %s", err, logged)
		}
		if n := s.asked.Load(); n != 1 {
			t.Errorf("asked %d times", n)
		}
		s.set("noeviction", "1000", "0")
		ctx, end := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); _ = memory.Run(ctx) }()
		eventually(t, "taken again", func() bool { _, err := st.Claim(t.Context(), 0, "owner"); return err == nil })
		s.set(policy, "1000", "2000")
		eventually(t, "refused while running", func() bool { _, err := st.Claim(t.Context(), 0, "owner"); return err != nil })
		end()
		<-ended // it tells the log of this round
	}
}

// A Redis that will not say is taken, aloud and once.
func TestASilentPolicyIsTaken(t *testing.T) {
	s, rdb, memory, logged := watched(t)
	go func() { _ = memory.Run(t.Context()) }()
	eventually(t, "asked again", func() bool { return s.asked.Load() > 1 && rdb.Set(t.Context(), "k", "v", 0).Err() == nil })
	if memory.Ready() != nil || lines(logged, "does not say its maxmemory-policy") != 1 {
		t.Errorf("ready: %v; logged: %s", memory.Ready(), logged)
	}
}

// A full Redis is told of once, and readiness names it, whoever notices: a command, or the figures.
func TestAFullRedisIsTold(t *testing.T) {
	s, rdb, memory, logged := watched(t)
	s.set("noeviction", "50331648", "100663296")
	go func() { _ = memory.Run(t.Context()) }()
	if err := rdb.Set(t.Context(), "k", "v", 0).Err(); err != nil || memory.Ready() != nil {
		t.Fatal(err, memory.Ready())
	}
	s.oom.Store(true)
	for range 50 {
		if err := rdb.Set(t.Context(), "k", "v", 0).Err(); err == nil {
			t.Fatal("taken")
		}
	}
	if err := memory.Ready(); err == nil || !strings.Contains(err.Error(), "full: 48 of 96 MiB") {
		t.Errorf("ready: %v", err)
	}
	s.set("noeviction", "100663297", "100663296")
	asked := s.asked.Load()
	eventually(t, "asked again", func() bool { return s.asked.Load() > asked+2 })
	if err := memory.Ready(); err == nil || !strings.Contains(err.Error(), "full: 96 of 96 MiB") || lines(logged, "redis is full") != 1 {
		t.Errorf("ready: %v; logged: %s", err, logged)
	}
	s.set("noeviction", "100663297", "200663296")
	eventually(t, "room again", func() bool { return memory.Ready() == nil })
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for until := time.Now().Add(time.Minute); !ok(); time.Sleep(10 * time.Millisecond) { //nolint:forbidigo // waits for a condition
		if time.Now().After(until) {
			t.Fatalf("never: %s", what)
		}
	}
}
