// Command streams holds the figures of services/statistics against the read model of a troupe at rest. prove runs it when
// all was broken and judged, from the repository's root, with the statistics built:
//
//	go run ./loadtest/prove -real … -then 'go run ./loadtest/prove/streams'
//
// The job of the totals is killed and goes on from a checkpoint, over copies, superseded facts and garbage that were
// appended meanwhile; both times its figures must equal what query answers, and the console must show so. Those of a job
// without the chain rule must not. It exits with 0 when all of that is so.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/loadtest/prove/rig"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/services/troupe/inspect"
	"github.com/troupe-dev/troupe/services/troupe/rest"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	topic        = "statistics.v1"
	controlTopic = "statistics-control.v1"
	wideTopic    = "statistics-wide.v1"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "streams:", err)
		os.Exit(1)
	}
}

// test is what is looked at.
type test struct {
	log     *inspect.Plain
	orders  *rest.Client
	brokers string
	dir     string // for checkpoints, logs and patched SQL
	began   time.Time

	query, consoleURL string
}

func run(ctx context.Context) (err error) {
	t := &test{brokers: os.Getenv("KAFKA_BROKERS"), began: time.Now(), query: os.Getenv("QUERY_URL"), consoleURL: os.Getenv("TROUPE_CONSOLE_URL")}
	if t.brokers == "" || t.query == "" || t.consoleURL == "" {
		return errors.New("KAFKA_BROKERS, ORDER_URL, QUERY_URL and TROUPE_CONSOLE_URL must be set: prove -then does it")
	}
	if t.dir, err = os.MkdirTemp("", "troupe-streams-"); err != nil {
		return err
	}
	defer func() {
		if err == nil {
			err = os.RemoveAll(t.dir)
		} else {
			err = fmt.Errorf("%w (the jobs' logs are in %s)", err, t.dir)
		}
	}()
	if t.log, err = inspect.NewPlain(strings.Split(t.brokers, ",")); err != nil {
		return err
	}
	defer t.log.Close()
	t.orders = rest.New(os.Getenv("ORDER_URL"), t.query)
	for _, step := range []func(context.Context) error{
		t.missingTopic, t.severalPartitions, t.killed, t.resumed, t.console, t.besides,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (t *test) say(format string, args ...any) {
	fmt.Printf("%6.1fs %s\n", time.Since(t.began).Seconds(), fmt.Sprintf(format, args...))
}

// missingTopic asks for one line about a topic that is not there.
func (t *test) missingTopic(ctx context.Context) error {
	return t.refused(ctx, "missing", "no topic shipping.events.v1 in Kafka",
		"notification.events.v1", "shipping.events.v1")
}

// severalPartitions asks for one line about a topic of figures that has three.
func (t *test) severalPartitions(ctx context.Context) error {
	c, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(t.brokers, ",")...))
	if err != nil {
		return err
	}
	defer c.Close()
	compacted := map[string]*string{"cleanup.policy": new("compact")}
	if _, err := kadm.NewClient(c).CreateTopic(ctx, 3, -1, compacted, wideTopic); err != nil {
		return err
	}
	return t.refused(ctx, "several partitions", "topic "+wideTopic+" has 3 partitions: it must have 1",
		"'"+topic+"'", "'"+wideTopic+"'")
}

// refused starts the totals with pairs of texts replaced, and waits until the job ends with one line.
func (t *test) refused(ctx context.Context, what, want string, pairs ...string) error {
	sql, err := t.patched(what, "totals.sql", pairs...)
	if err != nil {
		return err
	}
	j, err := t.start(what, sql)
	if err != nil {
		return err
	}
	defer j.Kill()
	select {
	case <-j.Ended():
	case <-ctx.Done():
		return ctx.Err()
	}
	said, err := os.ReadFile(j.log)
	if err != nil {
		return err
	}
	if strings.Count(string(said), "\n") != 1 || !strings.Contains(string(said), want) {
		return fmt.Errorf("%s: the job said %q, not %q in one line", what, said, want)
	}
	t.say("told in one line: %s", want)
	return nil
}

// killed counts what is there, and kills the job with SIGKILL.
func (t *test) killed(ctx context.Context) error {
	j, err := t.start("totals", "services/statistics/sql/totals.sql")
	if err != nil {
		return err
	}
	defer j.Kill()
	if err := t.caughtUp(ctx, j, "statistics"); err != nil {
		return err
	}
	return t.equal(ctx)
}

// resumed goes on from the checkpoint, over what was appended meanwhile.
func (t *test) resumed(ctx context.Context) error {
	if err := t.plant(ctx); err != nil {
		return err
	}
	if err := t.caughtUp(ctx, nil, "query"); err != nil {
		return err
	}
	j, err := t.start("resumed", "services/statistics/sql/totals.sql")
	if err != nil {
		return err
	}
	defer j.Kill()
	if err := t.caughtUp(ctx, j, "statistics"); err != nil {
		return err
	}
	said, err := os.ReadFile(j.log)
	if err != nil {
		return err
	}
	if !strings.Contains(string(said), "statistics: resumes from ") {
		return errors.New("the job did not resume from a checkpoint")
	}
	t.say("killed, and resumed from a checkpoint")
	return t.equal(ctx)
}

// besides runs the control and the windows, which do not need each other.
func (t *test) besides(ctx context.Context) error {
	sql, err := t.patched("control", "totals.sql",
		"WHERE verdict = 'valid'", "WHERE verdict <> 'undecodable'", "'"+topic+"'", "'"+controlTopic+"'", "'statistics'", "'statistics-control'",
		"${CHECKPOINTS}/totals", "${CHECKPOINTS}/control")
	if err != nil {
		return err
	}
	control, err := t.start("control", sql)
	if err != nil {
		return err
	}
	defer control.Kill()
	windows, err := t.start("windows", "services/statistics/sql/windows.sql")
	if err != nil {
		return err
	}
	defer windows.Kill()
	if err := t.caughtUp(ctx, control, "statistics-control"); err != nil {
		return err
	}
	if err := t.differs(ctx); err != nil {
		return err
	}
	return t.windows(ctx, windows)
}

// differs says by which figures a job without the chain rule is wrong. All kinds of them must be.
func (t *test) differs(ctx context.Context) error {
	want, err := t.expected(ctx)
	if err != nil {
		return err
	}
	got, err := t.figures(ctx, controlTopic)
	if err != nil {
		return err
	}
	for _, figure := range []string{"revenue", "payments"} {
		wrong := slices.DeleteFunc(differences(got, want), func(d string) bool { return !strings.HasPrefix(d, figure+"/") })
		if len(wrong) == 0 {
			return fmt.Errorf("without the chain rule %s is right as well: this test cannot fail", figure)
		}
		t.say("without the chain rule %s", wrong[0])
	}
	return nil
}

// windows waits for a row of each kind of window.
func (t *test) windows(ctx context.Context, j *job) error {
	kinds := []string{"facts: each minute/", "revenue: day so far/", "payments: five minutes/"}
	err := rig.Until(ctx, "rows of windows", func() (string, error) {
		got, err := t.figures(ctx, topic)
		for _, kind := range kinds {
			if !slices.ContainsFunc(got.names(), func(name string) bool { return strings.HasPrefix(name, kind) }) {
				return "no row of " + kind, errors.Join(err, j.failed())
			}
		}
		return "", err
	})
	if err == nil {
		t.say("windows tumble, cumulate and hop")
	}
	return err
}

// caughtUp blocks until a group has committed all of the events' topics. A job commits once a checkpoint is whole, and all that led to
// from what was read before it is written by then. j may be nil.
func (t *test) caughtUp(ctx context.Context, j *job, group string) error {
	return rig.Until(ctx, group+" at the end of the log", func() (string, error) {
		if err := j.failed(); err != nil {
			return "", err
		}
		ends, err := t.log.Ends(ctx, inspect.FactTopics())
		if err != nil {
			return err.Error(), nil
		}
		committed, err := t.log.Committed(ctx, group)
		if err != nil {
			return err.Error(), nil
		}
		for at, end := range ends {
			if end > 0 && committed[at] < end {
				return fmt.Sprintf("%s/%d is at %d of %d", at.Topic, at.Partition, committed[at], end), nil
			}
		}
		return "", nil
	})
}

// equal holds the job's figures against the read model and the log.
func (t *test) equal(ctx context.Context) error {
	want, err := t.expected(ctx)
	if err != nil {
		return err
	}
	got, err := t.figures(ctx, topic)
	if err != nil {
		return err
	}
	wrong := differences(got, want)
	if own, err := t.againstQuery(ctx, got); err != nil {
		return err
	} else if wrong = append(wrong, own...); len(wrong) > 0 {
		return fmt.Errorf("the figures are not those of the read model:\n%s", strings.Join(wrong, "\n"))
	}
	t.say("%d figures equal the read model's: %s", len(want), want.records())
	return nil
}

// patched writes a file of SQL with pairs of texts replaced, each of which must be there.
func (t *test) patched(name, file string, pairs ...string) (string, error) {
	raw, err := os.ReadFile(filepath.Join("services/statistics/sql", file))
	if err != nil {
		return "", err
	}
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(string(raw), pairs[i]) {
			return "", fmt.Errorf("%s does not say %s", file, pairs[i])
		}
	}
	path := filepath.Join(t.dir, name+".sql")
	return path, os.WriteFile(path, []byte(strings.NewReplacer(pairs...).Replace(string(raw))), 0o600)
}

// facts are all records of the events' topics, partition by partition in their order.
func (t *test) facts(ctx context.Context) (all []broker.Record, err error) {
	for _, topic := range inspect.FactTopics() {
		records, err := t.log.Topic(ctx, topic, rig.Partitions)
		if err != nil {
			return nil, err
		}
		all = append(all, records...)
	}
	return all, nil
}
