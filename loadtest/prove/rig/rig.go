// Package rig sets a whole troupe up to be broken: the program that is to be proven as a child, in a fresh directory, on free ports
// of loopback, with proxies between the services and what they stand on.
package rig

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/loadtest/prove/hold"
	"github.com/troupe-dev/troupe/services/troupe/control"
	"github.com/troupe-dev/troupe/services/troupe/inspect"
	"github.com/troupe-dev/troupe/services/troupe/rest"
	"github.com/troupe-dev/troupe/services/troupe/tokens"
)

const (
	readyWithin = 2 * time.Minute
	stopWithin  = time.Minute
	askEvery    = 50 * time.Millisecond
)

// Services that are proven.
var Services = []string{"order", "payment", "notification", "query", "console"}

// Config of a rig.
type Config struct {
	// Troupe is the path of the program to prove.
	Troupe string
	// Dir keeps its log and what it writes; it must be empty or absent.
	Dir string
	// Instances of each service, 1 at least.
	Instances int
	// PaymentDeadline of the orders.
	PaymentDeadline time.Duration
	// Kafka and Redis are the addresses of what runs already; empty: the embedded ones, or own ones when Real.
	Kafka []string
	Redis string
	// Real starts a Kafka and a redis-server of its own.
	Real bool
	// Secure has those refuse what choreography.yaml does not have a service do, and services take tokens. It needs Real.
	Secure bool
	// Direct leaves the proxies out between the services and what they stand on.
	Direct bool
}

// Rig is a running troupe. Make it with Start, end it with Stop.
type Rig struct {
	Config
	Proxies *hold.Proxies
	Control *control.Client
	// Orders has a client for every instance of the order service; all read from the first query service.
	Orders []*rest.Client
	Log    *inspect.Plain
	// Store is Redis.
	Store *redis.Client
	// Console is the first console.
	Console *rest.Console
	// Gateway and Mailbox are base URLs, SMTP an address; KafkaAddrs and RedisAddr are those of the stores themselves.
	Gateway, Mailbox, SMTP string
	KafkaAddrs             []string
	RedisAddr              string

	control string // its address
	order   string // URL of the first one, as the next three
	query   string
	console string
	issuer  string           // empty unless Secure
	kafka   *Server          // nil unless Real
	redis   *Server          // nil unless Real
	locks   *locks           // nil unless Secure
	exports *httptest.Server // nil unless Secure, and nil when Direct
	play    *Child

	stored   sync.Mutex // held while Redis is stopped, saved or restored
	snapshot time.Time  // when it was taken
}

// Start blocks until everything is ready. The error says where the log is; nothing runs then.
func Start(ctx context.Context, c Config) (r *Rig, err error) {
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return nil, err
	}
	r = &Rig{Config: c}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("%w (logs are in %s)", err, c.Dir), r.Stop())
		}
	}()
	if err = r.stores(ctx); err != nil {
		return r, err
	}
	args, err := r.arguments()
	if err != nil {
		return r, err
	}
	var env []string
	if r.Secure && !r.Direct { // without the proxies it is timed, and nothing else is done
		if r.exports, err = collect(c.Dir); err != nil {
			return r, err
		}
		env = []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + r.exports.URL}
	}
	if r.play, err = StartChild(filepath.Join(c.Dir, "play.log"), env, c.Troupe, args...); err != nil {
		return r, err
	}
	if err = r.ready(ctx); err != nil {
		return r, err
	}
	return r, r.connect(ctx)
}

// EmbeddedKafka is true when the broker is a process of the playground, EmbeddedRedis when Redis is.
func (r *Rig) EmbeddedKafka() bool { return len(r.Kafka) == 0 && !r.Real }

// EmbeddedRedis is true when Redis is a process of the playground.
func (r *Rig) EmbeddedRedis() bool { return r.Redis == "" && !r.Real }

func (r *Rig) arguments() ([]string, error) {
	port := func(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }
	args := []string{
		"play", "--ports", "auto", "--dir", r.Dir, "--payment-deadline", r.PaymentDeadline.String(),
		"--gateway-port", port(r.Gateway), "--smtp-port", port(r.SMTP), "--control-port", port(r.control),
		// What the simulator leaves open on purpose is asked again soon.
		"--env", "PAYMENT_GATEWAY_TIMEOUT=3s",
	}
	if r.Secure { // with tokens; all customers come from one address
		args = append(args, "--env", "AUTH_REQUESTS_PER_ADDRESS=0", "--env", "AUTH_REQUESTS_PER_SUBJECT=0")
	} else {
		args = append(args, "--auth", "off")
	}
	if r.EmbeddedKafka() {
		args = append(args, "--kafka-port", port(r.KafkaAddrs[0]), "--brokers", "3")
	} else {
		args = append(args, "--kafka-brokers", strings.Join(r.KafkaAddrs, ","), "--env", "KAFKA_SESSION_TIMEOUT="+r.Session().String())
	}
	if r.EmbeddedRedis() {
		args = append(args, "--redis-port", port(r.RedisAddr))
	} else {
		args = append(args, "--redis-addr", r.RedisAddr)
	}
	var instances []string
	for _, service := range Services {
		instances = append(instances, fmt.Sprintf("%s=%d", service, r.Instances))
		for _, process := range r.Processes(service) {
			env, err := r.Proxies.Environ(process)
			if err != nil {
				return nil, err
			}
			if r.Direct {
				env = append(env, r.direct()...)
			}
			for _, e := range env {
				args = append(args, "--env", process+":"+e)
			}
		}
	}
	return append(args, "--instances", strings.Join(instances, ",")), nil
}

// direct are the variables that send a process past the proxies.
func (r *Rig) direct() []string {
	kafka, redis := r.KafkaAddrs[0], r.RedisAddr
	if r.locks != nil {
		kafka, redis = fmt.Sprintf("127.0.0.1:%d", r.locks.kafka), fmt.Sprintf("127.0.0.1:%d", r.locks.redis)
	}
	return []string{"KAFKA_BROKERS=" + kafka, "REDIS_ADDRS=" + redis, "PAYMENT_GATEWAY_URL=" + r.Gateway, "SMTP_ADDR=" + r.SMTP}
}

// Session is the silence after which a group gives an instance's partitions away. Kafka itself allows no shorter one by default.
func (r *Rig) Session() time.Duration {
	if r.EmbeddedKafka() {
		return 3 * time.Second
	}
	return 6 * time.Second
}

// Processes are the names of a service's instances.
func (r *Rig) Processes(service string) []string {
	names := []string{service}
	for n := 2; n <= r.Instances; n++ {
		names = append(names, fmt.Sprintf("%s-%d", service, n))
	}
	return names
}

func (r *Rig) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	return Until(ctx, "the playground is ready", func() (string, error) {
		if _, err := os.Stat(filepath.Join(r.Dir, "playground.json")); err == nil {
			return "", nil
		}
		return "it does not say where it is", r.play.Gone()
	})
}

// connect finds what the playground has chosen itself.
func (r *Rig) connect(ctx context.Context) error {
	var at struct{ Order, Query, Console, Mailbox, Issuer string }
	b, err := os.ReadFile(filepath.Join(r.Dir, "playground.json"))
	if err == nil {
		err = json.Unmarshal(b, &at)
	}
	if err != nil {
		return err
	}
	r.Mailbox, r.Console, r.issuer = at.Mailbox, rest.NewConsole(at.Console), at.Issuer
	r.order, r.query, r.console = at.Order, at.Query, at.Console
	var as rest.Tokens
	if r.issuer != "" {
		as = tokens.Of(r.issuer, r.issuerSecret(), "admin")
	}
	r.Console = r.Console.As(as)
	list, err := r.Control.Processes(ctx)
	if err != nil {
		return err
	}
	for _, p := range list {
		if p.Service == "order" {
			r.Orders = append(r.Orders, rest.New(p.Addresses["http"], at.Query).As(as))
		}
	}
	return nil
}

// Ended is closed when the playground has ended by itself.
func (r *Rig) Ended() <-chan struct{} { return r.play.ended }

// Stop ends everything, and waits for it.
func (r *Rig) Stop() error {
	var errs []error
	if r.play != nil {
		if err := r.play.stop(syscall.SIGTERM, stopWithin); err != nil {
			errs = append(errs, fmt.Errorf("the playground ended with %w", err))
		}
	}
	if r.exports != nil {
		r.exports.Close()
	}
	if r.Log != nil {
		r.Log.Close()
	}
	if r.Store != nil {
		_ = r.Store.Close()
	}
	if r.Proxies != nil {
		r.Proxies.Close()
	}
	if r.kafka != nil {
		r.kafka.Kill() // nobody reads it again
	}
	if r.redis != nil {
		r.redis.Kill()
	}
	return errors.Join(errs...)
}
