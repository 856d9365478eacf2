package cli

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/config"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/schemas/choreography"
	"github.com/troupe-dev/troupe/services/troupe/internal/events"
	"github.com/troupe-dev/troupe/services/troupe/internal/play"
	"github.com/troupe-dev/troupe/services/troupe/internal/terminal"
)

func eventsCommand() *cobra.Command {
	var q events.Query
	var brokers, since, until string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "events", Short: "Read events from any Kafka: as they come, of an order, of a time span", Args: cobra.NoArgs,
		Long: `Prints each record with its payload decoded. Without a flag it waits for what comes, until Ctrl-C. With --order, --since or --until it
reads what is there, and ends, unless --follow says to go on; the events of one order come by time, all others in the order of their
partitions. It joins no consumer group and commits nothing.

KAFKA_* variables say how to talk to Kafka, TLS and login included, as for every service. What cannot be decoded is printed with its
bytes in base64 and the reason; then the exit code is 1.`,
		Example: "  troupe events --order 6a1c… --json\n  troupe events --since 15m --until 5m --topic payment.events.v1",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := kafka(brokers)
			if err != nil {
				return usageError{err}
			}
			now := time.Now()
			if q.Since, err = moment("--since", since, now); err == nil {
				q.Until, err = moment("--until", until, now)
			}
			if q.Order+since+until == "" {
				q.Since, q.Follow = now, true
			}
			err = errors.Join(err,
				fault.FieldIf(until != "" && q.Follow, "--follow", "goes on without an end, and --until is one"),
				fault.FieldIf(until != "" && err == nil && !q.Until.After(q.Since), "--until", "must be later than --since"))
			if err != nil {
				return usageError{err}
			}
			return tail(cmd, cfg, q, asJSON)
		},
	}
	f := cmd.Flags()
	f.StringVar(&brokers, "brokers", "", "host:port of a Kafka, separated by commas; otherwise that of the playground in TROUPE_DIR, if there is one [KAFKA_BROKERS]")
	f.StringArrayVar(&q.Topics, "topic", nil, "instead of all topics of events; may be repeated")
	f.StringVar(&q.Order, "order", "", "only of this order, by time")
	f.StringVar(&since, "since", "", "from then on: RFC 3339, or how long ago, such as 15m; the log's start when missing")
	f.StringVar(&until, "until", "", "up to then, likewise; the log's end when missing")
	f.BoolVar(&q.Follow, "follow", false, "go on with what comes, until Ctrl-C")
	f.BoolVar(&asJSON, "json", false, "one JSON object a line, with all headers")
	return cmd
}

// kafka is where the brokers are, and how to talk to them.
func kafka(brokers string) (broker.Config, error) {
	environ := os.Environ()
	if at, err := play.Find(playDir()); err == nil && brokers == "" && os.Getenv("KAFKA_BROKERS") == "" {
		brokers = strings.Join(at.Kafka, ",")
	}
	if brokers != "" {
		environ = append(environ, "KAFKA_BROKERS="+brokers)
	}
	return config.Load[broker.Config](environ)
}

// moment reads a time, or how long ago it was; the zero time for an empty text.
func moment(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, fault.Field(flag, "must be a time such as %s or how long ago, such as 15m, is %q", now.UTC().Format(time.RFC3339), text)
	}
	return at, nil
}

// tail prints the lines of a query.
func tail(cmd *cobra.Command, cfg broker.Config, q events.Query, asJSON bool) error {
	c, err := choreography.Load()
	if err != nil {
		return err
	}
	if len(q.Topics) == 0 {
		q.Topics = c.Topics()
	}
	log, err := broker.Open(cfg)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	p, lines, bad := printer{cmd.OutOrStdout(), cmd.ErrOrStderr(), asJSON}, 0, 0
	err = events.Run(cmd.Context(), log, q, func(l events.Line) error {
		lines++
		if l.Error != "" {
			bad++
		}
		if p.json {
			return p.document(l)
		}
		_, err := io.WriteString(p.out, plainLine(terminal.StyleOf(p.out), l))
		return err
	})
	if err != nil && (!q.Follow || cmd.Context().Err() == nil) {
		return err
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d records could not be decoded wholly: their lines have the bytes and the reason", bad, lines)
	}
	return nil
}

func plainLine(style terminal.Style, l events.Line) string {
	data := terminal.Clean(string(l.Data))
	if l.Error != "" {
		data = strings.TrimSpace(data + " " + base64.StdEncoding.EncodeToString(l.DataBase64) + " " + style.Paint(terminal.Red, terminal.Clean(l.Error)))
	}
	return fmt.Sprintf("%s  %s/%d@%d  %s  %s  %s\n", l.Happened().Local().Format("2006-01-02 15:04:05.000"), terminal.Clean(l.Topic),
		l.Partition, l.Offset, style.Paint(terminal.Bold, terminal.Clean(short(l.Type()))), terminal.Clean(string(l.Key)), data)
}
