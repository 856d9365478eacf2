package play

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/services/troupe/internal/supervise"
)

// Playground says where everything is.
type Playground struct {
	PID     int    `json:"pid"`
	Query   string `json:"query"`
	Console string `json:"console"`
	Order   string `json:"order"`
	Gateway string `json:"gateway"`
	Mailbox string `json:"mailbox"`
	Control string `json:"control"`
	// Issuer gives the tokens that the services take; empty: they take none.
	Issuer string   `json:"issuer,omitempty"`
	SMTP   string   `json:"smtp"`
	Kafka  []string `json:"kafka"`
	Redis  string   `json:"redis"`
	Dir    string   `json:"dir"`
}

func (o *Options) playground(pid int) Playground {
	url := func(port int) string { return "http://" + local(port) }
	p := Playground{
		PID: pid, Query: url(o.Ports.Query), Console: url(o.Ports.Console), Order: url(o.Ports.Order), Gateway: url(o.Ports.Gateway),
		Mailbox: url(o.Ports.Mailbox), Control: url(o.Ports.Control), SMTP: local(o.Ports.SMTP), Kafka: o.KafkaBrokers, Redis: o.RedisAddr, Dir: o.Dir,
	}
	if len(p.Kafka) == 0 {
		p.Kafka = []string{local(o.Ports.Kafka)}
		for _, n := range o.further {
			p.Kafka = append(p.Kafka, local(n))
		}
	}
	if o.Auth != AuthOff {
		p.Issuer = url(o.Ports.Issuer)
	}
	if p.Redis == "" {
		p.Redis = local(o.Ports.Redis)
	}
	return p
}

// processes lists what to run, in the order in which it starts.
func (o *Options) processes(at Playground) ([]supervise.Spec, error) {
	list := o.stores(at)
	first := map[string]int{
		"order": o.Ports.Order, "payment": o.Ports.Payment, "notification": o.Ports.Notification, "query": o.Ports.Query,
	}
	var err error
	if first["console"], err = o.taken.free("console health"); err != nil { // operators have another
		return nil, err
	}
	for _, service := range services {
		for i, name := range o.instances(service) {
			port, err := o.taken.instance(name, first[service], i)
			if err != nil {
				return nil, err
			}
			env := []string{"HTTP_ADDR=" + local(port), "KAFKA_CLIENT_ID=" + name}
			addresses := map[string]string{"http": "http://" + local(port)}
			if service == "console" {
				console, err := o.taken.instance(name, o.Ports.Console, i)
				if err != nil {
					return nil, err
				}
				env = append(env, "CONSOLE_ADDR="+local(console), "QUERY_URL="+at.Query, "CONSOLE_GATEWAY_URL="+at.Gateway, "CONSOLE_MAILBOX_URL="+at.Mailbox,
					"CONSOLE_CONTROL_URL="+at.Control)
				env = append(env, consoleCredentials(at, "http://"+local(console))...)
				addresses["console"] = "http://" + local(console)
			}
			p := o.process(name, service, i, env, o.serviceEnviron(at))
			p.Addresses, p.StopWithin = addresses, 20*time.Second
			list = append(list, p)
		}
	}
	return list, nil
}

// instances are the names of the processes of a service.
func (o *Options) instances(service string) []string {
	names := []string{service}
	for i := 2; i <= min(o.Instances[service], maxInstances); i++ {
		names = append(names, service+"-"+strconv.Itoa(i))
	}
	return names
}

// stores lists what the services stand on.
func (o *Options) stores(at Playground) []supervise.Spec {
	var list []supervise.Spec
	add := func(name string, addresses map[string]string, env ...string) {
		p := o.process(name, name, 0, env, nil)
		p.Addresses, p.StopWithin = addresses, 10*time.Second
		list = append(list, p)
	}
	if len(o.KafkaBrokers) == 0 {
		env := []string{"BROKER_ADDR=" + at.Kafka[0], "BROKER_DIR=" + filepath.Join(o.Dir, "kafka"),
			"BROKER_SYNC_WRITES=" + strconv.FormatBool(o.SyncWrites)}
		if len(at.Kafka) > 1 {
			env = append(env, "BROKER_FURTHER_ADDRS="+strings.Join(at.Kafka[1:], ","))
		}
		add("broker", map[string]string{"broker": at.Kafka[0]}, env...)
	}
	if o.RedisAddr == "" {
		add("redis", map[string]string{"redis": at.Redis}, "REDIS_ADDR="+at.Redis)
	}
	gateway := local(o.Ports.Gateway)
	add("gateway", map[string]string{"http": at.Gateway}, "GATEWAY_ADDR="+gateway, "GATEWAY_DIR="+filepath.Join(o.Dir, "gateway"))
	add("mailbox", map[string]string{"http": at.Mailbox, "smtp": at.SMTP},
		"MAILBOX_SMTP_ADDR="+at.SMTP, "MAILBOX_HTTP_ADDR="+local(o.Ports.Mailbox), "MAILBOX_DIR="+filepath.Join(o.Dir, "mailbox"))
	return list
}

// process has the variables of each process: the later ones win. further is 0 for the first instance.
func (o *Options) process(name, service string, further int, env, more []string) supervise.Spec {
	return supervise.Spec{
		Name: name, Service: service, Instance: 1 + further, Path: o.Program, Args: []string{"run", service},
		Env: slices.Concat([]string{"KAFKA_REPLICATION_FACTOR=1"}, o.Environ, []string{"LOG_FORMAT=json"}, more, env,
			o.envOf(name, service)),
	}
}

// unsecured takes away what makes sense for a real Kafka or Redis only.
var unsecured = map[string][]string{
	"kafka": {"KAFKA_TLS=", "KAFKA_TLS_SERVER_NAME=", "KAFKA_CA_FILE=", "KAFKA_CERT_FILE=", "KAFKA_KEY_FILE=",
		"KAFKA_SASL_MECHANISM=", "KAFKA_SASL_USER=", "KAFKA_SASL_PASSWORD=", "KAFKA_SASL_PASSWORD_FILE="},
	"redis": {"REDIS_TLS=", "REDIS_CA_FILE=", "REDIS_CERT_FILE=", "REDIS_KEY_FILE=",
		"REDIS_USERNAME=", "REDIS_PASSWORD=", "REDIS_PASSWORD_FILE="},
}

// serviceEnviron is the configuration that all services share.
func (o *Options) serviceEnviron(at Playground) []string {
	env := append(authEnviron(at),
		"KAFKA_BROKERS="+strings.Join(at.Kafka, ","),
		"REDIS_ADDRS="+at.Redis,
		"PAYMENT_GATEWAY_URL="+at.Gateway,
		"SMTP_ADDR="+at.SMTP,
		"QUERY_PUBLIC_URL="+at.Query,
		"PAYMENT_DEADLINE="+o.PaymentDeadline.String(),
	)
	if len(o.KafkaBrokers) == 0 {
		env = append(env, unsecured["kafka"]...)
		// The embedded broker allows short sessions: a killed service is missed soon.
		env = append(env, "KAFKA_REPLICATION_FACTOR=1", "KAFKA_SESSION_TIMEOUT=3s")
	}
	if o.RedisAddr == "" {
		env = append(env, unsecured["redis"]...)
	}
	return env
}
