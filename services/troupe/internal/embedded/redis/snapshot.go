package redis

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
)

const snapshotWithin = 25 * time.Second

// Snapshots keeps one moment of a Redis, real or embedded, to go back to. Its zero value has none.
type Snapshots struct {
	mu       sync.Mutex
	commands []any // that make all keys anew: of each the number of its words, and those; nil when nothing was taken
}

// everything answers the commands that make all keys anew, each with at most 1,000 items.
const everything = `
local out = {}
local function add(...)
  local words = {...}
  out[#out+1] = tostring(#words)
  for _, w in ipairs(words) do out[#out+1] = w end
end
local make = {string = 'SET', hash = 'HSET', list = 'RPUSH', set = 'SADD', zset = 'ZADD'}
for _, k in ipairs(redis.call('KEYS', '*')) do
  local t = redis.call('TYPE', k)
  if type(t) == 'table' then t = t.ok end
  local v
  if t == 'string' then v = {redis.call('GET', k)}
  elseif t == 'hash' then v = redis.call('HGETALL', k)
  elseif t == 'list' then v = redis.call('LRANGE', k, 0, -1)
  elseif t == 'set' then v = redis.call('SMEMBERS', k)
  elseif t == 'zset' then
    v = redis.call('ZRANGE', k, 0, -1, 'WITHSCORES')
    for i = 1, #v, 2 do v[i], v[i+1] = v[i+1], v[i] end
  else return redis.error_reply('key ' .. k .. ' is a ' .. t .. ', which a snapshot cannot hold') end
  for i = 1, #v, 1000 do add(make[t], k, unpack(v, i, math.min(i + 999, #v))) end
  local ttl = redis.call('PTTL', k)
  if ttl >= 0 then add('PEXPIRE', k, tostring(ttl)) end
end
return out`

// anew wipes Redis and does the commands.
const anew = `
redis.call('FLUSHALL')
local i = 1
while i <= #ARGV do
  local n = tonumber(ARGV[i])
  redis.call(unpack(ARGV, i + 1, i + n))
  i = i + n + 1
end
return 1`

// Take remembers what the Redis at addr holds now, in the place of what was remembered. It blocks for 25 s at most.
func (s *Snapshots) Take(ctx context.Context, addr string) error {
	c := connect(addr, snapshotWithin)
	defer func() { _ = c.Close() }()
	commands, err := c.Eval(ctx, everything, nil).Slice()
	if err != nil {
		return unavailable(addr, fmt.Errorf("read: %w", err))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commands = commands
	return nil
}

// Restore puts what was remembered in the place of all that the Redis at addr holds, at one moment. Conflict when
// nothing was remembered. It blocks for 25 s at most.
func (s *Snapshots) Restore(ctx context.Context, addr string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.commands == nil {
		return fault.New(fault.Conflict, "there is no snapshot of redis to restore")
	}
	c := connect(addr, snapshotWithin)
	defer func() { _ = c.Close() }()
	return unavailable(addr, c.Eval(ctx, anew, nil, s.commands...).Err())
}
