package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/loadtest/prove/hold"
	"github.com/troupe-dev/troupe/pkg/wait"
	"github.com/troupe-dev/troupe/services/troupe/control"
	"github.com/troupe-dev/troupe/services/troupe/inspect"
)

const (
	kafkaVersion = "4.3.1"
	// storeWithin bounds an answer of Redis: longer than it is silent.
	storeWithin = 10 * time.Second
)

// stores starts what is to be started, and decides on the addresses of everything.
func (r *Rig) stores(ctx context.Context) (err error) {
	ports := FreePorts(8)
	if ports == nil {
		return errors.New("no free ports")
	}
	addr := func(n int) string { return fmt.Sprintf("127.0.0.1:%d", ports[n]) }
	r.KafkaAddrs, r.RedisAddr = r.Kafka, r.Redis
	if r.Secure {
		if r.locks, err = newLocks(ctx, r.Dir, ports[6], ports[7]); err != nil {
			return err
		}
	}
	if r.Real {
		if r.kafka, err = startKafka(ctx, filepath.Join(r.Dir, "kafka"), ports[0], ports[5], r.locks); err != nil {
			return err
		}
		if r.redis, err = StartRedis(ctx, filepath.Join(r.Dir, "redis"), ports[1], r.locks.arguments()...); err != nil {
			return err
		}
		r.KafkaAddrs, r.RedisAddr = []string{addr(0)}, addr(1)
	}
	if len(r.KafkaAddrs) == 0 {
		r.KafkaAddrs = []string{addr(0)}
	}
	if r.RedisAddr == "" {
		r.RedisAddr = addr(1)
	}
	r.Store = redis.NewClient(&redis.Options{Addr: r.RedisAddr, ReadTimeout: storeWithin})
	r.Gateway, r.SMTP = addr(2), addr(3)
	r.control = addr(4)
	r.Control = control.NewClient("http://" + r.control)
	if r.Secure {
		r.Proxies = hold.NewProxies([]string{addr(6)}, addr(7), r.Gateway, r.SMTP)
		err = errors.Join(r.Proxies.Secure(r.locks.secrets), r.locks.open(ctx, r.Troupe, r.KafkaAddrs[0]))
	} else {
		r.Proxies = hold.NewProxies(r.KafkaAddrs, r.RedisAddr, r.Gateway, r.SMTP)
	}
	if err != nil {
		return err
	}
	r.Gateway = "http://" + r.Gateway
	r.Log, err = inspect.NewPlain(r.KafkaAddrs)
	return err
}

// startKafka starts a real one of our own: one broker in KRaft mode, with its data in a directory, so that it can be killed
// and started again with its log. Its programs are those of scripts/kafka.
func startKafka(ctx context.Context, dir string, port, controller int, l *locks) (*Server, error) {
	fetch := exec.CommandContext(ctx, "scripts/kafka", "fetch", kafkaVersion)
	fetch.Stderr = os.Stderr
	if err := fetch.Run(); err != nil {
		return nil, fmt.Errorf("get Kafka (run this from the repository's root): %w", err)
	}
	libs, err := filepath.Abs(filepath.Join(".cache", "kafka-"+kafkaVersion, "libs"))
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	addr, settings := fmt.Sprintf("127.0.0.1:%d", port), filepath.Join(dir, "server.properties")
	if err := os.WriteFile(settings, []byte(properties(addr, dir, controller, l)), 0o644); err != nil {
		return nil, err
	}
	java := []string{"java", "-Xms512m", "-Xmx1g", "-cp", filepath.Join(libs, "*")}
	id, err := storage(ctx, java, "random-uuid")
	if err == nil {
		_, err = storage(ctx, java, "format", "-t", strings.TrimSpace(id), "-c", settings)
	}
	if err != nil {
		return nil, err
	}
	k := &Server{Addr: addr, Log: filepath.Join(dir, "server.log"), Args: append(java, "kafka.Kafka", settings)}
	return k, k.Start(ctx)
}

func properties(addr, dir string, controller int, l *locks) string {
	listener, protocol, further := l.properties()
	return fmt.Sprintf(`process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:%[2]d
listeners=PLAINTEXT://%[1]s,CONTROLLER://127.0.0.1:%[2]d%[4]s
advertised.listeners=PLAINTEXT://%[1]s%[4]s
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT%[5]s
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=%[3]s/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
%[6]s`, addr, controller, dir, listener, protocol, further)
}

// storage runs Kafka's tool for what is stored, and returns what it says.
func storage(ctx context.Context, java []string, args ...string) (string, error) {
	tool := append(slices.Clip(java), "kafka.tools.StorageTool")
	cmd := exec.CommandContext(ctx, tool[0], append(tool[1:], args...)...)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("kafka.tools.StorageTool %s: %w: %s", args[0], err, said.String())
	}
	return string(out), nil
}

// StartRedis starts a real one, which writes nothing by itself unless settings say so, with its files in a directory.
func StartRedis(ctx context.Context, dir string, port int, settings ...string) (*Server, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	s := &Server{Addr: fmt.Sprintf("127.0.0.1:%d", port), Log: filepath.Join(dir, "server.log"), Args: append([]string{
		"redis-server", "--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--dir", dir, "--save", "",
	}, settings...)}
	return s, s.Start(ctx)
}

// redisFile is one in the directory of our own Redis.
func (r *Rig) redisFile(name string) string { return filepath.Join(filepath.Dir(r.redis.Log), name) }

// redisAgain kills our own Redis and starts it after a while: with what the file holds, or empty.
func (r *Rig) redisAgain(ctx context.Context, away time.Duration, file string) error {
	r.redis.Kill()
	dump := r.redisFile("dump.rdb")
	err := os.Remove(dump)
	if file != "" {
		err = os.Link(file, dump)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	_ = wait.Sleep(ctx, away) // the caller looks at ctx
	return r.redis.Start(ctx)
}
