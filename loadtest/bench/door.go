package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/loadtest/bench/flow"
	"github.com/troupe-dev/troupe/loadtest/bench/peers"
	"github.com/troupe-dev/troupe/loadtest/measure"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/config"
	"github.com/troupe-dev/troupe/pkg/participant"
	"github.com/troupe-dev/troupe/pkg/wait"
	"github.com/troupe-dev/troupe/services/order"
)

// door measures how long a client of the order service waits for its 202, beside one who appends the same record to Kafka itself and
// waits for all replicas. Both are asked when a request is due, however slow the others are, and
// take turns; a first round, which opens the connections, is not counted.
func door(ctx context.Context, o options) error {
	b, err := openBroker(o.kafka)
	if err != nil {
		return err
	}
	defer b.close()
	rdb := redis.NewClient(&redis.Options{Addr: o.redis})
	defer func() { _ = rdb.Close() }()
	if err := errors.Join(rdb.FlushAll(ctx).Err(), b.fresh(ctx, o, systems["troupe"])); err != nil {
		return err
	}
	log, err := broker.Open(broker.Config{Brokers: []string{o.kafka}, ReplicationFactor: 1})
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	if err := log.Provision(ctx, []broker.Topic{ // the service waits for one, the other is for the bare appends
		{Name: participant.FactsTopic("payment"), Partitions: o.partitions}, {Name: flow.Placed, Partitions: o.partitions},
	}); err != nil {
		return err
	}
	url, stop, err := serve(ctx, o)
	if err != nil {
		return err
	}
	defer stop()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1000}, Timeout: 10 * time.Second}
	if err := ready(ctx, client, url); err != nil {
		return err
	}
	var posted, appended measure.Times
	for round := range o.rounds + 1 {
		posts, err := measure.OpenLoop(ctx, o.orders, float64(o.rate), func(n int) error { return post(ctx, client, url, n) })
		if err != nil {
			return fmt.Errorf("POST: %w", err)
		}
		appends, err := measure.OpenLoop(ctx, o.orders, float64(o.rate), func(n int) error { return bare(ctx, o, log, n) })
		if err != nil {
			return fmt.Errorf("append: %w", err)
		}
		if round > 0 { // the first one opened the connections
			posted, appended = append(posted, posts...), append(appended, appends...)
		}
	}
	slices.Sort(posted)
	slices.Sort(appended)
	shares := []float64{.5, .95, .99}
	row := func(name string, took measure.Times) string {
		for _, share := range append(shares, 1) {
			name += "\t" + rounded(took.At(share))
		}
		return name + "\t"
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "%d/s\tp50\tp95\tp99\tmost\t\n", o.rate)
	fmt.Fprintf(w, "%s\n%s\ntimes", row("bare append", appended), row("POST /orders", posted))
	for _, share := range shares {
		fmt.Fprintf(w, "\t%.1f", posted.At(share).Seconds()/appended.At(share).Seconds())
	}
	fmt.Fprint(w, "\t\t\n")
	return w.Flush()
}

// serve runs the order service as it is, with its defaults.
func serve(ctx context.Context, o options) (url string, stop func(), err error) {
	cfg, err := config.Load[order.Config](nil)
	if err != nil {
		return "", nil, err
	}
	cfg.Kafka.Brokers, cfg.Kafka.ReplicationFactor, cfg.Redis.Addrs = []string{o.kafka}, 1, []string{o.redis}
	cfg.HTTPAddr, cfg.Partitions, cfg.Telemetry.LogLevel = "127.0.0.1:0", o.partitions, slog.LevelError
	listening, ended := make(chan net.Addr, 1), make(chan error, 1)
	cfg.Listening = func(a net.Addr) { listening <- a }
	ctx, cancel := context.WithCancel(ctx)
	go func() { ended <- order.Run(ctx, cfg) }()
	stop = func() {
		cancel()
		if err := <-ended; err != nil {
			fmt.Fprintln(os.Stderr, "the order service ended:", err)
		}
	}
	select {
	case a := <-listening:
		return "http://" + a.String(), stop, nil
	case err := <-ended:
		cancel()
		return "", nil, fmt.Errorf("the order service did not start: %w", err)
	}
}

func ready(ctx context.Context, client *http.Client, url string) error {
	for {
		resp, err := client.Get(url + "/readyz") //nolint:noctx // the client has a time-out
		if err != nil {
			return err
		}
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return nil
		}
		if err := wait.Sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

func post(ctx context.Context, client *http.Client, url string, n int) error {
	m := flow.Order(n, time.Time{}, nil)
	body := fmt.Sprintf(`{"customer_id":%q,"email":%q,"currency":"EUR","payment_method":%q,"lines":[{"sku":"TEA-250","name":"Green tea","quantity":2,"unit_price":1250}]}`,
		m.Customer, m.Email, m.Payment)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/orders", strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", fmt.Sprintf("%s-%d", m.OrderID, time.Now().UnixNano()))
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusAccepted {
		err = fmt.Errorf("%s: %s", resp.Status, text)
	}
	return err
}

// bare appends the record of an order, by the same client as the service does it.
func bare(ctx context.Context, o options, log *broker.Client, n int) (err error) {
	r := peers.TroupeOrder(n, time.Now(), o.partitions, nil)
	r.Topic = flow.Placed
	tp := broker.TopicPartition{Topic: r.Topic, Partition: r.Partition}
	log.Produce(ctx, []broker.Batch{{TopicPartition: tp, Records: []broker.Record{r}}}, func(p broker.Produced) { err = p.Err })
	return err
}

func rounded(d time.Duration) string { return d.Round(100 * time.Microsecond).String() }
