package access_test

import (
	"context"
	"crypto/tls"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/config"
	"github.com/troupe-dev/troupe/pkg/taskstore"
	"github.com/troupe-dev/troupe/pkg/tlsfiles"
)

// startRedis starts a real one, with further arguments, and returns a free port's address, where it listens in one way or
// the other.
func startRedis(t *testing.T, arguments func(port string) []string) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr = ln.Addr().String()
	_, port, _ := net.SplitHostPort(addr)
	_ = ln.Close()
	cmd := exec.Command("redis-server", append(arguments(port), "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir())...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
	until(t, "redis answers", func(ctx context.Context) bool {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	return addr
}

// redis starts one that knows the users of a folder of secrets, and speaks TLS only.
func (s secured) redis(t *testing.T) (addr string) {
	t.Helper()
	return startRedis(t, func(port string) []string {
		return []string{"--port", "0", "--tls-port", port, "--tls-cert-file", s.file("redis.crt"), "--tls-key-file", s.file("redis.key"),
			"--tls-ca-cert-file", s.file("ca.crt"), "--tls-auth-clients", "no", "--aclfile", s.file("redis-users.acl")}
	})
}

// redisAs is the product's client, of a user.
func (s secured) redisAs(t *testing.T, addr, user string) redis.UniversalClient {
	t.Helper()
	cfg, err := config.Load[taskstore.Config]([]string{"REDIS_ADDRS=" + addr, "REDIS_TLS=true", "REDIS_CA_FILE=" + s.file("ca.crt"),
		"REDIS_USERNAME=" + user, "REDIS_PASSWORD_FILE=" + s.file(user+".redis-password")})
	if err != nil {
		t.Fatal(err)
	}
	c, err := cfg.Client()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// commands are all that a Redis knows, subcommands too, with how many words each takes at least. Those that log in or out
// are everybody's.
func commands(t *testing.T) map[string]int {
	t.Helper()
	// A second server, where one may ask: nobody may on the first.
	addr := startRedis(t, func(port string) []string { return []string{"--port", port} })
	c := redis.NewClient(&redis.Options{Addr: addr})
	defer func() { _ = c.Close() }()
	known := map[string]int{}
	var add func(list []any)
	add = func(list []any) {
		for _, one := range list {
			info := one.([]any)
			flags := info[2].([]any)
			subs := info[9].([]any)
			arity := int(info[1].(int64))
			if arity < 0 {
				arity = -arity
			}
			if len(subs) > 0 {
				add(subs)
			} else if !slices.Contains(flags, any("no_auth")) {
				known[info[0].(string)] = arity
			}
		}
	}
	info, err := c.Do(t.Context(), "COMMAND").Slice()
	if err != nil {
		t.Fatal(err)
	}
	add(info)
	return known
}

// refused is true for the answers of the ACL, and for what Redis refuses everybody.
func refused(err error) bool {
	return err != nil && slices.ContainsFunc([]string{"NOPERM", "can't access at least one of the keys", "command not allowed. If the enable"},
		func(says string) bool { return strings.Contains(err.Error(), says) })
}

// Every user tries every command on a key of its own, and its own commands on the keys and channels of all others.
func TestEverybodyMayDoAtRedisWhatIsGrantedAndNothingElse(t *testing.T) {
	s := real(t)
	addr := s.redis(t)
	known, tried := commands(t), 0
	for _, u := range s.choreography.RedisUsers() {
		c := s.redisAs(t, addr, u.Name)
		for name, arity := range known {
			tried++
			try, want := c, slices.Contains(u.Commands, name)
			if want {
				try = s.redisAs(t, addr, u.Name) // some change what a connection is
			}
			switch err := attemptRedis(t, try, name, arity, "{"+u.Name+":0}:x"); {
			case want && refused(err):
				t.Errorf("%s: %s is granted, and refused: %v", u.Name, name, err)
			case !want && !refused(err): // it may have stopped the server, or made it wait
				t.Fatalf("%s: %s is not granted, and answered: %v", u.Name, name, err)
			}
		}
		for _, other := range append(s.choreography.RedisUsers(), s.choreography.RedisUsers()[0]) {
			own := other.Name == u.Name
			key := "{" + other.Name + ":0}:x"
			for what, err := range map[string]error{
				"get":         c.Get(t.Context(), key).Err(),
				"set":         c.Set(t.Context(), key, "1", time.Second).Err(),
				"del":         c.Del(t.Context(), key).Err(),
				"hgetall":     c.HGetAll(t.Context(), key).Err(),
				"script":      c.Eval(t.Context(), "return redis.call('SET', KEYS[1], '1')", []string{key}).Err(),
				"sly script":  c.Eval(t.Context(), "return redis.call('GET', '"+key+"')", nil).Err(),
				"own and not": c.MGet(t.Context(), "{"+u.Name+":0}:x", key).Err(),
			} {
				tried++
				if refused(err) == own {
					t.Errorf("%s: %s of %s: %v", u.Name, what, key, err)
				}
			}
			if u.Channels != "" {
				tried++
				if err := c.Publish(t.Context(), "{"+other.Name+":0}:changes", "x").Err(); refused(err) == own {
					t.Errorf("%s: publish to %s: %v", u.Name, other.Name, err)
				}
			}
		}
	}
	t.Logf("%d attempts", tried)
	nobody := tlsfiles.Files{CA: s.file("ca.crt")}
	files, err := nobody.Read()
	if err != nil {
		t.Fatal(err)
	}
	anonymous := redis.NewClient(&redis.Options{Addr: addr, TLSConfig: files, MaxRetries: -1})
	defer func() { _ = anonymous.Close() }()
	if err := anonymous.Ping(t.Context()).Err(); err == nil {
		t.Error("who does not log in is let in")
	}
	if _, err := tls.Dial("tcp", addr, &tls.Config{MinVersion: tls.VersionTLS12}); err == nil {
		t.Error("its certificate is by an authority that everybody knows")
	}
}

func attemptRedis(t *testing.T, c redis.UniversalClient, name string, arity int, key string) error {
	t.Helper()
	var args []any
	for word := range strings.SplitSeq(name, "|") {
		args = append(args, word)
	}
	for len(args) < arity {
		args = append(args, key)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	return c.Do(ctx, args...).Err()
}
