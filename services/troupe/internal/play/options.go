// Package play runs the whole troupe on one machine: an embedded broker and Redis, a gateway simulator, a mailbox and the five
// services, each a process of its own that can really be killed, all supervised.
package play

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/services/troupe/internal/terminal"
)

// Options of a playground. Every port may be 0: a free one is taken then.
type Options struct {
	// Program is the path of the troupe binary, which is run again for each process.
	Program string
	// Environ is the environment that the processes inherit; what the playground sets itself wins.
	Environ []string
	// Dir keeps the log, the ledger and the mails. Fresh wipes them first.
	Dir   string
	Fresh bool
	// SyncWrites makes the embedded broker write through to the disk.
	SyncWrites bool
	Ports      Ports
	// Instances of a service beside the first, by its name; their ports are 100 apart, or free ones.
	Instances map[string]int
	// Brokers is how many the embedded cluster has, 1 to 5; 0 is 1. They share one process: with several, leaders can move.
	Brokers int
	// KafkaBrokers and RedisAddr name real ones to use instead of the embedded. Empty: embedded.
	KafkaBrokers []string
	RedisAddr    string
	// Env has further variables, [PROCESS:]NAME=VALUE: of one process, or of all services. They win over what the
	// playground sets, and the later over the earlier.
	Env []string
	// Auth is empty when the services take the tokens of an issuer that the playground runs, AuthOff when they take none.
	Auth string
	// PaymentDeadline of new orders.
	PaymentDeadline time.Duration
	// Out gets the logs and the announcement; Style says whether in colour.
	Out   io.Writer
	Style terminal.Style

	taken   ports
	further []int // ports of the embedded brokers beside the first
}

// Ports where things listen, on 127.0.0.1.
type Ports struct {
	Query, Console, Order, Payment, Notification, Kafka, Redis, Gateway, SMTP, Mailbox, Control, Issuer int
}

// Port is one of them, for flags and for what is said when it is taken.
type Port struct {
	// Name makes the flag --NAME-port and the variable TROUPE_NAME_PORT.
	Name    string
	Default int
	Of      func(*Ports) *int
}

// PortList has every port, in the order in which people care.
var PortList = []Port{
	{"query", 8084, func(p *Ports) *int { return &p.Query }},
	{"console", 8080, func(p *Ports) *int { return &p.Console }},
	{"order", 8081, func(p *Ports) *int { return &p.Order }},
	{"payment", 8082, func(p *Ports) *int { return &p.Payment }},
	{"notification", 8083, func(p *Ports) *int { return &p.Notification }},
	{"gateway", 8090, func(p *Ports) *int { return &p.Gateway }},
	{"mailbox", 8025, func(p *Ports) *int { return &p.Mailbox }},
	{"smtp", 1025, func(p *Ports) *int { return &p.SMTP }},
	{"control", 8089, func(p *Ports) *int { return &p.Control }},
	{"issuer", 8091, func(p *Ports) *int { return &p.Issuer }},
	{"kafka", 9092, func(p *Ports) *int { return &p.Kafka }},
	{"redis", 6379, func(p *Ports) *int { return &p.Redis }},
}

// Flag is the flag that sets the port, without its dashes.
func (p Port) Flag() string { return p.Name + "-port" }

// Variable is the environment variable that sets the port.
func (p Port) Variable() string { return "TROUPE_" + strings.ToUpper(p.Name) + "_PORT" }

// services in the order in which they start; they stop in reverse.
var services = []string{"order", "payment", "notification", "query", "console"}

// stores are the processes that the services stand on.
var stores = []string{"broker", "redis", "gateway", "mailbox"}

const (
	maxInstances = 20
	maxBrokers   = 5
)

// validate names every flag that is wrong.
func (o *Options) validate() error {
	wrong := []error{
		fault.FieldIf(o.Dir == "", "--dir", "must name a directory"),
		fault.FieldIf(o.PaymentDeadline < time.Second || o.PaymentDeadline > 23*time.Hour,
			"--payment-deadline", "must be 1s to 23h, is %s", o.PaymentDeadline),
		fault.FieldIf(o.Brokers < 0 || o.Brokers > maxBrokers, "--brokers", "must be 1 to %d, is %d", maxBrokers, o.Brokers),
		fault.FieldIf(o.Auth != "" && o.Auth != AuthOff, "--auth", "must be off or empty, is %q", o.Auth),
		o.validateEnv(),
	}
	for _, p := range PortList {
		n := *p.Of(&o.Ports)
		wrong = append(wrong, fault.FieldIf(n < 0 || n > 65535, "--"+p.Flag(), "must be 0 to 65535, is %d", n))
	}
	for name, n := range o.Instances {
		wrong = append(wrong, fault.FieldIf(!slices.Contains(services, name), "--instances", "no service %q; there are %s",
			name, strings.Join(services, ", ")),
			fault.FieldIf(n < 1 || n > maxInstances, "--instances", "%s must be 1 to %d, is %d", name, maxInstances, n))
	}
	for _, b := range o.KafkaBrokers {
		_, _, err := net.SplitHostPort(b)
		wrong = append(wrong, fault.FieldIf(err != nil, "--kafka-brokers", "must be host:port separated by commas: %w", err))
	}
	if o.RedisAddr != "" {
		_, _, err := net.SplitHostPort(o.RedisAddr)
		wrong = append(wrong, fault.FieldIf(err != nil, "--redis-addr", "must be host:port: %w", err))
	}
	return errors.Join(wrong...)
}

func local(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
