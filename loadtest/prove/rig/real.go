package rig

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
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
	startWithin  = 3 * time.Minute
	// storeWithin bounds an answer of Redis: longer than it is silent.
	storeWithin = 10 * time.Second
)

// stores starts what is to be started, and decides on the addresses of everything.
func (r *Rig) stores(ctx context.Context) (err error) {
	ports := FreePorts(8)
	if ports == nil {
		return errors.New("no free ports between 20000 and 32000")
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
		if r.redis, err = startRedis(ctx, filepath.Join(r.Dir, "redis"), ports[1], r.locks); err != nil {
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

// kafka is a real one of our own: one broker in KRaft mode, with its data in the rig's directory, so that it can be killed and
// started again with its log. Its programs are those of scripts/kafka.
type kafka struct {
	*Child
	addr, dir string
	java      []string
}

func startKafka(ctx context.Context, dir string, port, controller int, l *locks) (*kafka, error) {
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
	k := &kafka{addr: fmt.Sprintf("127.0.0.1:%d", port), dir: dir, java: []string{"-cp", filepath.Join(libs, "*")}}
	if err := os.WriteFile(filepath.Join(dir, "server.properties"), []byte(k.properties(controller, l)), 0o644); err != nil {
		return nil, err
	}
	id, err := k.tool(ctx, "random-uuid")
	if err != nil {
		return nil, err
	}
	if _, err := k.tool(ctx, "format", "-t", strings.TrimSpace(id), "-c", filepath.Join(dir, "server.properties")); err != nil {
		return nil, err
	}
	return k, k.start(ctx)
}

func (k *kafka) properties(controller int, l *locks) string {
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
%[6]s`, k.addr, controller, k.dir, listener, protocol, further)
}

func (k *kafka) tool(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "java", append(append(k.java, "kafka.tools.StorageTool"), args...)...)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("kafka.tools.StorageTool %s: %w: %s", args[0], err, said.String())
	}
	return string(out), nil
}

func (k *kafka) start(ctx context.Context) (err error) {
	args := append([]string{"-Xms512m", "-Xmx1g"}, append(k.java, "kafka.Kafka", filepath.Join(k.dir, "server.properties"))...)
	if k.Child, err = StartChild(filepath.Join(k.dir, "server.log"), nil, "java", args...); err != nil {
		return err
	}
	return answers(ctx, k.Child, k.addr)
}

// again kills it and starts it with the log that it has.
func (k *kafka) again(ctx context.Context) error {
	k.Kill()
	return k.start(ctx)
}

// redisServer is a real one of our own. It writes nothing by itself.
type redisServer struct {
	*Child
	addr, dir string
	locks     *locks
}

func startRedis(ctx context.Context, dir string, port int, l *locks) (*redisServer, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	s := &redisServer{addr: fmt.Sprintf("127.0.0.1:%d", port), dir: dir, locks: l}
	return s, s.start(ctx)
}

func (s *redisServer) start(ctx context.Context) (err error) {
	_, port, _ := net.SplitHostPort(s.addr)
	args := append([]string{"--bind", "127.0.0.1", "--port", port, "--dir", s.dir, "--save", "", "--appendonly", "no"}, s.locks.arguments()...)
	if s.Child, err = StartChild(filepath.Join(s.dir, "server.log"), nil, "redis-server", args...); err != nil {
		return err
	}
	return answers(ctx, s.Child, s.addr)
}

// again kills it and starts it after a while: with the file that is there, or empty.
func (s *redisServer) again(ctx context.Context, away time.Duration, file string) error {
	s.Kill()
	dump := filepath.Join(s.dir, "dump.rdb")
	err := os.Remove(dump)
	if file != "" {
		err = os.Link(file, dump)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	_ = wait.Sleep(ctx, away) // the caller looks at ctx
	return s.start(ctx)
}

// answers waits until something accepts connections there.
func answers(ctx context.Context, c *Child, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	return Until(ctx, "something answers at "+addr, func() (string, error) {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", addr)
		if err == nil {
			return "", conn.Close()
		}
		return err.Error(), c.Gone()
	})
}
