// Command prove breaks a whole troupe in every way that it knows, while customers order, and then looks whether a promise was broken:
//
//	go run ./loadtest/prove -troupe bin/troupe -orders 1000
//
// It must be run from the repository's root. docs/prove.md says what is done and how to read the report. It exits with 0 when every
// promise was kept and every fault really happened, with 1 when not, with 2 when the flags are wrong.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/troupe-dev/troupe/loadtest/prove/hold"
	"github.com/troupe-dev/troupe/loadtest/prove/rig"
	"github.com/troupe-dev/troupe/loadtest/prove/schedule"
)

// options are the flags.
type options struct {
	troupe, kafka, redis, seed, only, report, then string
	given                                          string // all that were set, but the seed

	orders    int
	rate      float64
	instances int
	rounds    int
	real      bool
	secure    bool
	poison    bool
	deadline  time.Duration
	quiet     time.Duration
}

func main() {
	o, err := parse(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "prove:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	kept, err := prove(ctx, o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "prove:", err)
	}
	if err != nil || !kept {
		os.Exit(1)
	}
}

func parse(args []string, out io.Writer) (o options, err error) {
	f := flag.NewFlagSet("prove", flag.ContinueOnError)
	f.SetOutput(out)
	f.StringVar(&o.troupe, "troupe", "bin/troupe", "program to prove")
	f.IntVar(&o.orders, "orders", 1000, "orders to place at least; a few more come while faults are not over")
	f.Float64Var(&o.rate, "rate", 100, "most orders a second; they are spread over the whole schedule")
	f.StringVar(&o.seed, "seed", "fresh", "seed of the schedule and of the customers, or fresh")
	f.StringVar(&o.only, "faults", "", "only these classes, separated by commas, such as kill,crash:after-apply,pair; none for no faults")
	f.IntVar(&o.rounds, "rounds", 1, "how often everything in the schedule happens")
	f.IntVar(&o.instances, "instances", 2, "instances of each service")
	f.StringVar(&o.kafka, "kafka", "", "brokers (host:port, separated by commas) of a Kafka to use, whose topics must not exist; with -redis")
	f.StringVar(&o.redis, "redis", "", "address (host:port) of an empty Redis to use; with -kafka")
	f.BoolVar(&o.real, "real", false, "start a real Kafka and redis-server instead of the embedded ones; needs Java, Maven, redis-server")
	f.BoolVar(&o.secure, "secure", false, "-real, and services come in by TLS and SCRAM, may do nothing that choreography.yaml does not have them do, and take tokens; needs openssl")
	f.StringVar(&o.then, "then", "", "shell command that uses the same troupe when all was judged, and must succeed; it finds KAFKA_BROKERS, TROUPE_DIR, ORDER_URL, QUERY_URL, TROUPE_CONSOLE_URL, and with -secure ISSUER_URL and ISSUER_SECRET_FILE")
	f.BoolVar(&o.poison, "poison", false, "instead of faults: half of the orders, then one order is poisoned, then the other half")
	f.DurationVar(&o.deadline, "payment-deadline", 0, "payment deadline of the orders; 0 is 20s, and 40s with a real Kafka")
	f.DurationVar(&o.quiet, "quiet", 3*time.Minute, "how long to wait for quiet after the last order")
	f.StringVar(&o.report, "report", "", "directory for report.json, junit.xml and the logs; empty: a temporary one, kept when a promise was broken")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	f.Visit(o.give)
	return o, o.check(f.Args())
}

func (o *options) check(rest []string) error {
	var errs []error
	refuse := func(when bool, format string, args ...any) {
		if when {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	refuse(len(rest) > 0, "there are flags only, not %q", rest)
	refuse(o.orders < 1, "-orders must be at least 1, is %d", o.orders)
	refuse(o.rate <= 0, "-rate must be more than 0, is %g", o.rate)
	refuse(o.rounds < 1, "-rounds must be at least 1, is %d", o.rounds)
	refuse(o.instances < 1 || o.instances > 9, "-instances must be 1 to 9, is %d", o.instances)
	refuse((o.kafka == "") != (o.redis == ""), "-kafka and -redis go together")
	o.real = o.real || o.secure
	refuse(o.real && o.kafka != "", "-real starts its own: not with -kafka and -redis")
	refuse(o.poison && o.only != "", "-poison is instead of -faults")
	if o.deadline == 0 {
		o.deadline = 20 * time.Second
		if o.real || o.kafka != "" {
			o.deadline = 40 * time.Second
		}
	}
	refuse(o.deadline < time.Second, "-payment-deadline must be at least 1s, is %s", o.deadline)
	refuse(o.quiet < time.Second, "-quiet must be at least 1s, is %s", o.quiet)
	if _, err := os.Stat(o.troupe); err != nil {
		errs = append(errs, fmt.Errorf("-troupe (make build makes one): %w", err))
	}
	if o.seed == "fresh" {
		o.seed = strconv.FormatUint(rand.Uint64()>>32, 10)
	}
	_, err := strconv.ParseUint(o.seed, 10, 64)
	refuse(err != nil, "-seed must be a number or fresh, is %q", o.seed)
	known := classes()
	for _, c := range o.classes() {
		name, _, _ := strings.Cut(c, ":")
		refuse(!slices.Contains(known, name) && c != "none", "-faults: no class %q; there are %s, and none", c, strings.Join(known, ", "))
	}
	return errors.Join(errs...)
}

// classes of the -faults flag.
func (o *options) classes() []string {
	return strings.FieldsFunc(o.only, func(r rune) bool { return r == ',' || r == ' ' })
}

// seeds is the number that everything is drawn from; check has parsed it.
func (o *options) seedNumber() uint64 {
	n, _ := strconv.ParseUint(o.seed, 10, 64)
	return n
}

// replay is the command that does the same again.
func (o *options) replay() string { return "go run ./loadtest/prove -seed " + o.seed + o.given }

// give notes a flag that was set, as a shell reads it. A report would take the place of the one before.
func (o *options) give(f *flag.Flag) {
	if f.Name == "seed" || f.Name == "report" {
		return
	}
	value := f.Value.String()
	if strings.Contains(value, " ") {
		value = "'" + value + "'"
	}
	o.given += " -" + f.Name + "=" + value
}

// faults makes the schedule for what runs.
func (o *options) faults(r *rig.Rig) []schedule.Fault {
	if o.poison || o.only == "none" {
		return nil
	}
	var points []schedule.Point
	for _, p := range hold.Points() {
		points = append(points, schedule.Point{Name: p.Name, Services: p.Services})
	}
	return schedule.Plan{
		Services: rig.Services, Writers: rig.Services[:3], Instances: o.instances, Points: points, Only: o.classes(), Without: r.Cannot(), Session: r.Session(),
		Rounds: o.rounds,
	}.Make(o.seedNumber())
}

// classes that a schedule can have.
func classes() []string {
	all := schedule.Plan{Services: rig.Services, Writers: rig.Services, Instances: 2, Points: []schedule.Point{{Name: "x", Services: rig.Services}}}.Make(0)
	var names []string
	for _, f := range all {
		if !slices.Contains(names, string(f.Class)) {
			names = append(names, string(f.Class))
		}
	}
	slices.Sort(names)
	return names
}
