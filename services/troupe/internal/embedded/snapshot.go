package embedded

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2/proto"
	"github.com/troupe-dev/troupe/pkg/fault"
)

const (
	snapshotWithin = 25 * time.Second
	// restoreArgs bounds the arguments of one command while restoring.
	restoreArgs = 1000
	// restoreAtOnce is how many commands go without waiting for their answers.
	restoreAtOnce = 200
)

// Snapshots keeps one moment of a Redis, real or embedded, to go back to. Its zero value has none.
type Snapshots struct {
	mu   sync.Mutex
	keys []kept
}

// kept is one key.
type kept struct {
	name, kind, ttl string // ttl in ms, -1 for none
	items           []string
}

// everything reads all keys at one moment: name, type, time to live in ms, number of items, the items.
const everything = `
local out = {}
for _, k in ipairs(redis.call('KEYS', '*')) do
  local t = redis.call('TYPE', k)
  if type(t) == 'table' then t = t.ok end
  local v
  if t == 'string' then v = {redis.call('GET', k)}
  elseif t == 'hash' then v = redis.call('HGETALL', k)
  elseif t == 'list' then v = redis.call('LRANGE', k, 0, -1)
  elseif t == 'set' then v = redis.call('SMEMBERS', k)
  elseif t == 'zset' then v = redis.call('ZRANGE', k, 0, -1, 'WITHSCORES')
  else return redis.error_reply('key ' .. k .. ' is a ' .. t .. ', which a snapshot cannot hold') end
  out[#out+1] = {k, t, tostring(redis.call('PTTL', k)), tostring(#v), v}
end
return out`

// Take remembers what the Redis at addr holds now, in the place of what was remembered. It blocks for 25 s at most.
func (s *Snapshots) Take(ctx context.Context, addr string) error {
	c, done, err := dial(ctx, addr, snapshotWithin)
	if err != nil {
		return err
	}
	defer done()
	if err = proto.Write(c, []string{"EVAL", everything, "0"}); err != nil {
		return fault.New(fault.Unavailable, "read redis at %s: %w", addr, err)
	}
	flat, err := readFlat(bufio.NewReaderSize(c, 1<<20), nil)
	if err != nil {
		return fault.New(fault.Unavailable, "read redis at %s: %w", addr, err)
	}
	var keys []kept
	for len(flat) >= 4 {
		n, err := strconv.Atoi(flat[3])
		if err != nil || n < 0 || 4+n > len(flat) {
			return fmt.Errorf("read redis at %s: key %q has %q items", addr, flat[0], flat[3])
		}
		keys = append(keys, kept{flat[0], flat[1], flat[2], flat[4 : 4+n]})
		flat = flat[4+n:]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys = keys; keys == nil {
		s.keys = []kept{}
	}
	return nil
}

// Restore puts what was remembered in the place of all that the Redis at addr holds, at one moment. Conflict when nothing was
// remembered. It blocks for 25 s at most.
func (s *Snapshots) Restore(ctx context.Context, addr string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys == nil {
		return fault.New(fault.Conflict, "there is no snapshot of redis to restore")
	}
	c, done, err := dial(ctx, addr, snapshotWithin)
	if err != nil {
		return err
	}
	defer done()
	commands := [][]string{{"MULTI"}, {"FLUSHALL"}}
	for _, k := range s.keys {
		commands = append(commands, k.commands()...)
	}
	answers := bufio.NewReader(c)
	for chunk := range slices.Chunk(append(commands, []string{"EXEC"}), restoreAtOnce) {
		if err := pipeline(c, answers, chunk); err != nil {
			return fault.New(fault.Unavailable, "restore redis at %s: %w", addr, err)
		}
	}
	return nil
}

// pipeline sends commands in one go and reads their answers. There must be so few that the answers fit into the connection's buffers.
func pipeline(c net.Conn, answers *bufio.Reader, commands [][]string) error {
	out := bufio.NewWriter(c)
	for _, cmd := range commands {
		if err := proto.Write(out, cmd); err != nil {
			return err
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	for _, cmd := range commands {
		queued, err := readFlat(answers, nil)
		if err != nil {
			return err
		}
		if cmd[0] == "EXEC" && len(queued) == 0 {
			return errors.New("nothing was executed")
		}
	}
	return nil
}

// readFlat reads an answer of texts, numbers and lists of such, and returns what the lists hold. proto.Read takes time with the
// square of a list's length.
func readFlat(r *bufio.Reader, flat []string) ([]string, error) {
	head, err := r.Peek(1)
	if err != nil {
		return flat, err
	}
	if head[0] != '*' {
		item, err := refused(proto.Read(r))
		if err == nil && item[0] == '$' { // "$5\r\nhello\r\n"
			_, item, _ = strings.Cut(item, "\r\n")
			item = strings.TrimSuffix(item, "\r\n")
		}
		return append(flat, item), err
	}
	line, err := r.ReadString('\n')
	if err != nil {
		return flat, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(line[1:]))
	for range n {
		if flat, err = readFlat(r, flat); err != nil {
			return flat, err
		}
	}
	return flat, err
}

// commands make the key anew.
func (k kept) commands() [][]string {
	verb := map[string]string{"string": "SET", "hash": "HSET", "list": "RPUSH", "set": "SADD", "zset": "ZADD"}[k.kind]
	items := k.items
	if k.kind == "zset" { // read as member, score; written as score, member
		items = make([]string, len(k.items))
		for i := 0; i+1 < len(items); i += 2 {
			items[i], items[i+1] = k.items[i+1], k.items[i]
		}
	}
	var out [][]string
	for len(items) > 0 {
		n := min(len(items), restoreArgs)
		out = append(out, append([]string{verb, k.name}, items[:n]...))
		items = items[n:]
	}
	if k.ttl != "-1" {
		out = append(out, []string{"PEXPIRE", k.name, k.ttl})
	}
	return out
}

// refused makes an error of an answer that is one.
func refused(answer string, err error) (string, error) {
	if message, not := proto.ReadError(answer); err == nil && not == nil {
		err = errors.New(message)
	}
	return answer, err
}

// dial opens a connection that ends by itself.
func dial(ctx context.Context, addr string, within time.Duration) (c net.Conn, done func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		cancel()
		return nil, nil, fault.New(fault.Unavailable, "reach redis at %s: %w", addr, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	return conn, func() {
		stop()
		cancel()
		_ = conn.Close()
	}, nil
}
