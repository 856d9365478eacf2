// Bench measures Troupe side by side with what people use instead: the same choreography, the same broker, the same durability, in
// alternating runs, each verified afterwards. See README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/troupe-dev/troupe/loadtest/bench/flow"
	"github.com/troupe-dev/troupe/loadtest/bench/peers"
)

// system is what is measured.
type system struct {
	run func(context.Context, *flow.Env) error
	// troupe: it performs on the product's own topics and events.
	troupe bool
	// raw: it does not look into what it moves.
	raw bool
	// worker is the binary that performs it; empty: this one.
	worker string
	// java: a program of -streams performs it.
	java bool
}

const kafkaStreams = "kafka-streams"

var systems = map[string]system{
	"watermill":                {run: peers.Watermill},
	"kafka-go-naive":           {run: peers.Naive},
	"kafka-go-tuned":           {run: peers.Tuned},
	"franz-go":                 {run: peers.Franz},
	"franz-go-transactions":    {run: peers.Transactions},
	kafkaStreams:               {java: true},
	"troupe":                   {run: peers.Troupe, troupe: true},
	"troupe-without-telemetry": {run: peers.Quiet, troupe: true},
	"kafka-go-raw":             {run: peers.Raw, raw: true},
}

// order in which they take turns and stand in the table.
var inOrder = []string{
	"kafka-go-naive", "watermill", "kafka-go-tuned", "franz-go", "franz-go-transactions", kafkaStreams, "troupe", "troupe-without-telemetry", "kafka-go-raw",
}

type options struct {
	worker      bool
	system      string
	kafka       string
	redis       string
	orders      int
	partitions  int
	rate        int
	hot         int
	charge      time.Duration
	concurrency int
	flush       int
	every       int
	rounds      int
	within      time.Duration
	streams     string
	threads     int
	commit      time.Duration
	profile     string
	price       bool
	door        bool
}

func main() {
	o := flags()
	if err := o.validate(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	run := compare
	switch {
	case o.worker:
		run = work
	case o.door:
		run = door
	case o.price:
		run = price
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func flags() (o options) {
	flag.BoolVar(&o.worker, "worker", false, "be the process that is measured (the benchmark starts these itself)")
	flag.StringVar(&o.system, "system", "", "systems to measure, separated by commas; empty: all. There are "+strings.Join(inOrder, ", "))
	flag.StringVar(&o.kafka, "kafka", os.Getenv("TEST_KAFKA_BROKERS"), "address of a Kafka whose topics may be deleted, host:port")
	flag.StringVar(&o.redis, "redis", os.Getenv("TEST_REDIS_ADDR"), "address of a Redis that may be flushed, host:port")
	flag.IntVar(&o.orders, "orders", 20_000, "orders of each run")
	flag.IntVar(&o.partitions, "partitions", 12, "partitions of each topic")
	flag.IntVar(&o.rate, "rate", 0, "orders a second, sent when they are due whatever happens; 0: all of them wait when the run begins")
	flag.IntVar(&o.hot, "hot", 0, "how many of a hundred orders all go into one partition, beside its share of the others")
	flag.DurationVar(&o.charge, "charge", 0, "how long the gateway takes for a charge")
	flag.IntVar(&o.concurrency, "concurrency", 256, "charges at once, where a system has such a setting")
	flag.StringVar(&o.streams, "streams", "", "directory with libs and classes of kafka-streams, as scripts/bench builds it; empty: it is left out")
	flag.IntVar(&o.threads, "threads", 1, "threads of each service of kafka-streams; its payment service has one for each partition when a charge takes time")
	flag.DurationVar(&o.commit, "commit", 100*time.Millisecond, "how long a transaction of kafka-streams lasts (commit.interval.ms)")
	flag.IntVar(&o.flush, "flush", 0, "when all orders are done, wipe Redis and place so many more; tells how long until those are done (Troupe only)")
	flag.IntVar(&o.every, "every", 0, "tell what every so many orders of a run took, and what memory is held then; 0: do not")
	flag.IntVar(&o.rounds, "rounds", 3, "runs of each system, in turns")
	flag.DurationVar(&o.within, "within", 5*time.Minute, "longest time of one run")
	flag.StringVar(&o.profile, "profile", "", "directory for a CPU profile and one of allocations of each system's last run; empty: none")
	flag.BoolVar(&o.price, "price", false, "measure Troupe beside itself with one thing taken out: what each costs; run it in the root of the repository")
	flag.BoolVar(&o.door, "door", false, "measure how long POST /orders takes, beside a bare append to Kafka, at -rate")
	flag.Parse()
	return o
}

func (o options) validate() error {
	switch {
	case o.kafka == "":
		return errors.New("-kafka: must be host:port (or TEST_KAFKA_BROKERS)")
	case o.redis == "":
		return errors.New("-redis: must be host:port (or TEST_REDIS_ADDR)")
	case o.orders < 1 || o.orders > 10_000_000:
		return fmt.Errorf("-orders: must be 1 to 10000000, is %d", o.orders)
	case o.partitions < 1 || o.partitions > 1000:
		return fmt.Errorf("-partitions: must be 1 to 1000, is %d", o.partitions)
	case o.rate < 0 || o.rate > 100_000:
		return fmt.Errorf("-rate: must be 0 to 100000, is %d", o.rate)
	case o.hot < 0 || o.hot > 100:
		return fmt.Errorf("-hot: must be 0 to 100, is %d", o.hot)
	case o.threads < 1 || o.threads > 100:
		return fmt.Errorf("-threads: must be 1 to 100, is %d", o.threads)
	case o.commit < time.Millisecond || o.commit > time.Minute:
		return fmt.Errorf("-commit: must be 1ms to 1m, is %s", o.commit)
	case o.every < 0:
		return fmt.Errorf("-every: must not be negative, is %d", o.every)
	case o.rounds < 1 || o.rounds > 100:
		return fmt.Errorf("-rounds: must be 1 to 100, is %d", o.rounds)
	case o.price && o.system != "":
		return errors.New("-price: chooses the systems itself; it goes without -system")
	case o.door && (o.price || o.system != "" || o.rate == 0 || o.hot > 0):
		return errors.New("-door: goes with -rate, and without -price, -system and -hot")
	case o.flush < 0 || o.flush > 10_000:
		return fmt.Errorf("-flush: must be 0 to 10000, is %d", o.flush)
	case o.charge < 0 || o.charge > time.Minute:
		return fmt.Errorf("-charge: must be 0s to 1m, is %s", o.charge)
	}
	for _, s := range o.systems() {
		if _, ok := systems[s]; !ok {
			return fmt.Errorf("-system: there is no %q; there are %s", s, strings.Join(inOrder, ", "))
		}
		if systems[s].java && o.streams == "" {
			return fmt.Errorf("-streams: must name the directory of %s's program; scripts/bench builds it where there are Java 17 and Maven", s)
		}
		if o.flush > 0 && !systems[s].troupe {
			return fmt.Errorf("-flush: %s does not come back from a wiped Redis; name a troupe by -system", s)
		}
	}
	return nil
}

func (o options) systems() []string {
	switch {
	case o.system != "":
		return strings.Split(o.system, ",")
	case o.streams == "":
		return slices.DeleteFunc(slices.Clone(inOrder), func(name string) bool { return systems[name].java })
	default:
		return inOrder
	}
}
