package choreography

// RedisUser is what one participant or reader may do at Redis, in the words of ACL SETUSER. All its keys, and the
// channels of a reader, begin with its own name.
type RedisUser struct {
	Name string
	// Keys and Channels are patterns. Channels is empty for a participant.
	Keys, Channels string
	// Commands, those of scripts included.
	Commands []string
}

// Commands that the engine sends (pkg/taskstore, pkg/participant, pkg/projection); services/troupe/internal/access
// holds them against a real Redis.
var (
	// everybody's: a connection is looked after, tasks are claimed, changed, read, reset.
	redisCommon = []string{
		"ping", "info", "cluster|slots",
		"eval", "evalsha", "scan", "exists", "del", "unlink", "get", "mget", "set", "expireat", "pexpire",
		"hget", "hmget", "hgetall", "hset", "hsetnx", "hdel", "hincrby", "lrange", "lpush", "rpush", "ltrim",
		"zadd", "zrem", "zrange", "zscore", "time",
	}
	// Read models are read too, each reading in one transaction, and tell what has changed.
	redisReaders = []string{
		"multi", "exec", "publish", "subscribe", "unsubscribe", "zcard", "zincrby", "zrevrange", "zremrangebyscore",
		"sadd",
	}
)

// RedisUsers returns the users of Redis. Everybody else, the user "default" too, may do nothing.
func (c *Choreography) RedisUsers() (users []RedisUser) {
	for _, name := range c.Names() {
		u := RedisUser{Name: Principal(name), Keys: "{" + name + ":*", Commands: redisCommon}
		if _, reads := c.Readers[name]; reads {
			u.Channels, u.Commands = u.Keys, append(append([]string{}, redisCommon...), redisReaders...)
		}
		users = append(users, u)
	}
	return users
}
