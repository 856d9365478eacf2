package hold

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/troupe-dev/troupe/pkg/tlsfiles"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Proxies stand between the services of a playground and what they stand on.
type Proxies struct {
	Redis   *Redis
	Kafka   *Kafka
	Gateway *HTTP
	SMTP    *SMTP
	secrets string // folder of scripts/secrets; empty: nobody logs in
}

// NewProxies returns proxies in front of addresses (host:port), where nothing need run yet. Close them.
func NewProxies(kafka []string, redis, gateway, smtp string) *Proxies {
	return &Proxies{NewRedis(redis), NewKafka(kafka...), NewHTTP(gateway), NewSMTP(smtp), ""}
}

// Secure has Redis and Kafka spoken to by TLS, on both sides, and every process log in by its service's name. It comes
// before all else; secrets is a folder as scripts/secrets makes it.
func (p *Proxies) Secure(secrets string) error {
	files := tlsfiles.Files{CA: filepath.Join(secrets, "ca.crt"), Cert: filepath.Join(secrets, "kafka.crt"), Key: filepath.Join(secrets, "kafka.key")}
	config, err := files.Read()
	p.secrets, p.Redis.tls, p.Kafka.tls = secrets, config, config
	return err
}

// logins are the variables by which a process logs in.
func (p *Proxies) logins(process string) []string {
	if p.secrets == "" {
		return nil
	}
	user, ca := service(process), filepath.Join(p.secrets, "ca.crt")
	return []string{
		"KAFKA_TLS=true", "KAFKA_CA_FILE=" + ca, "KAFKA_SASL_MECHANISM=scram-sha-512", "KAFKA_SASL_USER=" + user,
		"KAFKA_SASL_PASSWORD_FILE=" + filepath.Join(p.secrets, user+".kafka-password"), "KAFKA_PROVISIONED=true",
		"REDIS_TLS=true", "REDIS_CA_FILE=" + ca, "REDIS_USERNAME=" + user,
		"REDIS_PASSWORD_FILE=" + filepath.Join(p.secrets, user+".redis-password"),
	}
}

// Close ends all connections and waits for them. What is held is dropped.
func (p *Proxies) Close() {
	p.Redis.Close()
	p.Kafka.Close()
	p.Gateway.Close()
	p.SMTP.Close()
}

// Environ has the variables (NAME=VALUE) that send one process, such as payment-2, through the proxies under its own name.
func (p *Proxies) Environ(process string) ([]string, error) {
	kafka, err := p.Kafka.Addrs()
	if err != nil {
		return nil, err
	}
	env := []string{"KAFKA_CLIENT_ID=" + process, "KAFKA_BROKERS=" + strings.Join(kafka, ",")}
	for _, v := range []struct {
		prefix string
		addr   func(string) (string, error)
	}{
		{"REDIS_ADDRS=", p.Redis.Addr}, {"PAYMENT_GATEWAY_URL=http://", p.Gateway.Addr}, {"SMTP_ADDR=", p.SMTP.Addr},
	} {
		addr, err := v.addr(process)
		if err != nil {
			return nil, err
		}
		env = append(env, v.prefix+addr)
	}
	return append(env, p.logins(process)...), nil
}

// Any partition.
const Any = -1

// Point is a place in the cycle at which a service can be made to stop.
type Point struct {
	// Name is for reports and the -faults list.
	Name string
	// Services that come by here.
	Services []string
	// First names the point at which the service must die right before for this one to be reached: arm this one, for the same
	// partition, before that process is killed. Empty: none.
	First string
	// Arm waits for an instance of a service to come by, in one partition or Any.
	Arm func(p *Proxies, service string, partition int) *Held
}

var (
	participants = []string{"order", "payment", "notification"}
	projections  = []string{"query"}
	all          = slices.Concat(participants, projections)
)

// Points lists every crash point, in the order of the cycle.
func Points() []Point {
	return []Point{
		{"before-apply", all, "", redisAt(decides, Before)},
		{"after-apply", all, "", redisAt(decides, After)},
		{"before-publish", participants, "", kafkaAt(publishes, Before)},
		{"after-publish", participants, "", kafkaAt(publishes, After)},
		{"before-position", participants, "", redisAt(moves, Before)},
		{"before-settle", participants, "", redisAt(settles, Before)},
		{"after-settle", participants, "", redisAt(settles, After)},
		{"before-commit", all, "", kafkaAt(commits, Before)},
		{"after-commit", all, "", kafkaAt(commits, After)},
		{"during-claim", all, "before-apply", redisAt(claims, After)},
		{"during-fold", participants, "before-position", kafkaAt(folds, After)},
		{"during-drain", participants, "after-apply", kafkaAt(publishes, Before)},
		{"before-door-publish", []string{"order"}, "", kafkaAt(admits, Before)},
		{"after-door-publish", []string{"order"}, "", kafkaAt(admits, After)},
		{"before-charge", []string{"payment"}, "", gatewayAt("/confirm", Before)},
		{"after-charge", []string{"payment"}, "", gatewayAt("/confirm", After)},
		{"before-refund", []string{"payment"}, "", gatewayAt("/refunds", Before)},
		{"after-refund", []string{"payment"}, "", gatewayAt("/refunds", After)},
		{"before-mail", []string{"notification"}, "", mailAt(Before)},
		{"after-mail", []string{"notification"}, "", mailAt(After)},
		{"during-redrive", participants, "", kafkaAt(redrives, Before)},
	}
}

// Find returns a point by its name.
func Find(name string) (Point, error) {
	var names []string
	for _, p := range Points() {
		if p.Name == name {
			return p, nil
		}
		names = append(names, p.Name)
	}
	return Point{}, fmt.Errorf("no crash point %q; there are %s", name, strings.Join(names, ", "))
}

func redisAt(match func(c Command, service string) bool, when When) func(*Proxies, string, int) *Held {
	return func(p *Proxies, service string, partition int) *Held {
		return p.Redis.Hold(func(c Command) bool {
			of, number, ok := c.Task()
			return ok && of == service && (partition == Any || number == partition) && match(c, service)
		}, when)
	}
}

// decides: a participant puts a fact into its outbox, a projection writes what it folded.
func decides(c Command, service string) bool {
	return c.Decides() || slices.Contains(projections, service) && c.Change() != nil
}

// moves: the log has a fact, and the store is about to know that it was read: until then a fold has to read it. Where nothing else is
// written, the position is only noted for the first time.
func moves(c Command, service string) bool {
	ops := c.Change()
	return len(ops) > 1 && slices.ContainsFunc(ops, func(op Op) bool {
		i := slices.Index(op.Args, "own:"+service+".events.v1")
		return op.Cmd == "HSET" && strings.HasSuffix(op.Key, "}:meta") && i >= 0 && i+1 < len(op.Args) && op.Args[i+1] != "0"
	})
}

func settles(c Command, _ string) bool { return c.Settles() }
func claims(c Command, _ string) bool  { return c.Claim() }

func kafkaAt(match func(r Request, service string, log Log) bool, when When) func(*Proxies, string, int) *Held {
	return func(p *Proxies, of string, partition int) *Held {
		return p.Kafka.Hold(func(r Request) bool {
			return service(r.Client) == of && slices.ContainsFunc(r.Logs, func(l Log) bool {
				return (partition == Any || l.Partition == partition) && match(r, of, l)
			})
		}, when)
	}
}

func commits(r Request, service string, _ Log) bool {
	return r.Key == kmsg.OffsetCommit && r.Group == service
}

// folds: only a fold reads nothing but topics of one's own.
func folds(r Request, service string, _ Log) bool {
	return r.Key == kmsg.Fetch && !slices.ContainsFunc(r.Logs, func(l Log) bool {
		return l.Topic != service+".events.v1" && l.Topic != service+".dead-letters.v1"
	})
}

// publishes: letters, and what a task decided, which names its cause; a door's facts have none.
func publishes(r Request, service string, log Log) bool {
	return r.Key == kmsg.Produce && (log.Topic == service+".dead-letters.v1" ||
		log.Topic == service+".events.v1" && has(r, log, "ce_causationid"))
}

func admits(r Request, service string, log Log) bool {
	return r.Key == kmsg.Produce && log.Topic == service+".events.v1" && !has(r, log, "ce_causationid")
}

// redrives: what became of a letter is decided, and not in the log. That the request is closed may be in the same batch.
func redrives(r Request, service string, log Log) bool {
	return r.Key == kmsg.Produce && log.Topic == service+".dead-letters.v1" &&
		slices.ContainsFunc(r.Records(log), func(record *kgo.Record) bool {
			return slices.Contains([]string{"redriven", "edited", "discarded", "failed"}, value(record, "__dlq.record"))
		})
}

func has(r Request, log Log, name string) bool {
	return slices.ContainsFunc(r.Records(log), func(record *kgo.Record) bool { return value(record, name) != "" })
}

func value(r *kgo.Record, name string) string {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

func gatewayAt(end string, when When) func(*Proxies, string, int) *Held {
	return func(p *Proxies, of string, _ int) *Held {
		return p.Gateway.Hold(func(c Call) bool { return service(c.Client) == of && c.changes(end) }, when)
	}
}

func mailAt(when When) func(*Proxies, string, int) *Held {
	return func(p *Proxies, of string, _ int) *Held {
		return p.SMTP.Hold(func(m Mail) bool { return service(m.Client) == of }, when)
	}
}
