package broker

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"
	kafkametadata "github.com/segmentio/kafka-go/protocol/metadata"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// Provision implements Log. Topics are created with the configured replication factor, the min.insync.replicas that
// goes with it, and cleanup.policy delete; with Config.Provisioned none is, and a missing one is an error of class
// Unavailable. It returns when every log can be written and read.
func (c *Client) Provision(ctx context.Context, topics []Topic) error {
	ctx, cancel := context.WithTimeout(ctx, 6*answerWithin)
	defer cancel()
	for {
		m, err := c.metadataWith(ctx, topics)
		if err != nil {
			return err
		}
		if missing := m.missing(topics); len(missing) > 0 && !c.cfg.Provisioned {
			if err := c.create(ctx, missing); err != nil {
				return err
			}
		}
		switch err := c.Check(ctx, topics); {
		case err == nil:
			return c.awaitLogs(ctx, topics)
		case !waits(err) || c.cfg.Provisioned || ctx.Err() != nil:
			return err
		}
		// A broker may not know of a topic yet that another created, or may have remembered one that was deleted.
		pause(ctx, failurePause)
	}
}

// waits says whether the same request may succeed later.
func waits(err error) bool { return fault.ClassOf(err) == fault.Unavailable }

// Check implements Log.
func (c *Client) Check(ctx context.Context, topics []Topic) error {
	ctx, cancel := context.WithTimeout(ctx, 6*answerWithin)
	defer cancel()
	m, err := c.existing(ctx, topics)
	if err != nil || len(topics) == 0 {
		return err
	}
	settings, err := c.settings(ctx, topics)
	if err != nil {
		return err
	}
	for _, want := range topics {
		t, _ := m.topic(want.Name)
		if err := c.cfg.checkSettings(want, copies(t), settings[want.Name]); err != nil {
			return err
		}
	}
	return nil
}

// existing is the metadata of topics that all exist with the partitions that are configured; until they do the error is
// Unavailable.
func (c *Client) existing(ctx context.Context, topics []Topic) (metadata, error) {
	m, err := c.metadataWith(ctx, topics)
	if err != nil {
		return m, err
	}
	if missing := m.missing(topics); len(missing) > 0 {
		return m, fault.New(fault.Unavailable, "waiting for topic %s: it does not exist yet", missing[0].Name)
	}
	for _, want := range topics {
		if err := c.enough(m, want); err != nil {
			return m, err
		}
	}
	return m, nil
}

// create creates topics. One that exists by now is no error: another instance was quicker.
func (c *Client) create(ctx context.Context, topics []Topic) error {
	request := &kafka.CreateTopicsRequest{}
	for _, t := range topics {
		retention := "-1"
		if t.Retention > 0 {
			retention = strconv.FormatInt(t.Retention.Milliseconds(), 10)
		}
		settings := []kafka.ConfigEntry{
			{ConfigName: "cleanup.policy", ConfigValue: "delete"},
			{ConfigName: "retention.ms", ConfigValue: retention},
			{ConfigName: "min.insync.replicas", ConfigValue: strconv.Itoa(c.cfg.MinInsync())},
		}
		if t.MaxBytes > 0 {
			settings = append(settings,
				kafka.ConfigEntry{ConfigName: "max.message.bytes", ConfigValue: strconv.Itoa(t.MaxBytes)})
		}
		request.Topics = append(request.Topics, kafka.TopicConfig{
			Topic: t.Name, NumPartitions: t.Partitions, ReplicationFactor: c.cfg.ReplicationFactor, ConfigEntries: settings,
		})
	}
	response, err := c.admin.CreateTopics(ctx, request)
	if err != nil {
		return c.failed("metadata", "create topics", err)
	}
	for name, err := range response.Errors {
		switch {
		case err == nil || errors.Is(err, kafka.TopicAlreadyExists):
		case errors.Is(err, kafka.InvalidReplicationFactor):
			// Not permanent: a cluster that starts has fewer brokers at first.
			return fault.New(fault.Unavailable, "create topic %s with KAFKA_REPLICATION_FACTOR %d: %w", name,
				c.cfg.ReplicationFactor, err)
		default:
			return classify("create topic "+name, err)
		}
	}
	return nil
}

// awaitLogs waits until the leader of every log answers for it: for a moment after a topic was created, brokers name
// leaders that do not know of it yet.
func (c *Client) awaitLogs(ctx context.Context, topics []Topic) error {
	var logs []TopicPartition
	for _, t := range topics {
		logs = append(logs, LogsOf(t.Partitions, t.Name)...)
	}
	for {
		_, err := c.Ends(ctx, logs)
		if !waits(err) || ctx.Err() != nil {
			return err
		}
		pause(ctx, failurePause)
	}
}

// settings are those of topics that Check looks at, by topic and name.
func (c *Client) settings(ctx context.Context, topics []Topic) (map[string]map[string]string, error) {
	request := &kafka.DescribeConfigsRequest{}
	for _, want := range topics {
		request.Resources = append(request.Resources, kafka.DescribeConfigRequestResource{
			ResourceType: kafka.ResourceTypeTopic, ResourceName: want.Name,
			ConfigNames: []string{"cleanup.policy", "retention.ms", "min.insync.replicas", "max.message.bytes",
				"unclean.leader.election.enable"},
		})
	}
	response, err := c.admin.DescribeConfigs(ctx, request)
	if err != nil {
		return nil, c.failed("metadata", "read the settings of topics", err)
	}
	settings := map[string]map[string]string{}
	for _, r := range response.Resources {
		if r.Error != nil {
			c.refresh() // it may be gone
			return nil, classify("read the settings of topic "+r.ResourceName, r.Error)
		}
		settings[r.ResourceName] = map[string]string{}
		for _, e := range r.ConfigEntries {
			settings[r.ResourceName][e.ConfigName] = e.ConfigValue
		}
	}
	return settings, nil
}

// enough says whether a topic has the partitions that are configured. More are no error: keys are never spread over
// them, so that nothing in them is ours.
func (c *Client) enough(m metadata, want Topic) error {
	t, _ := m.topic(want.Name)
	surplus := len(t.Partitions) - want.Partitions
	if surplus < 0 {
		return wrong(want.Name,
			"it has %d partitions, not the %d configured; the number is fixed for the life of a topic",
			len(t.Partitions), want.Partitions)
	}
	if said, _ := c.surplus.Swap(want.Name, surplus); said != surplus && surplus > 0 {
		slog.Warn("topic has more partitions than configured: those beyond are ignored", "topic", want.Name,
			"partitions", len(t.Partitions), "configured", want.Partitions)
	}
	return nil
}

// copies is the number of replicas of the log that has the fewest.
func copies(t kafkametadata.ResponseTopic) int {
	fewest := 1 << 15
	for _, p := range t.Partitions {
		fewest = min(fewest, len(p.ReplicaNodes))
	}
	return fewest
}

// checkSettings refuses a topic that would lose events, or take none.
func (c Config) checkSettings(want Topic, copies int, is map[string]string) error {
	if strings.Contains(is["cleanup.policy"], "compact") {
		return wrong(want.Name, "cleanup.policy is %s: compaction would remove events; it must be delete",
			is["cleanup.policy"])
	}
	if copies < c.ReplicationFactor {
		return wrong(want.Name, "its replication factor is %d, less than KAFKA_REPLICATION_FACTOR %d", copies,
			c.ReplicationFactor)
	}
	if insync, err := strconv.Atoi(is["min.insync.replicas"]); err == nil {
		if insync > copies {
			return wrong(want.Name,
				"min.insync.replicas is %d, more than its replication factor %d: nothing can be written", insync, copies)
		}
		if insync < c.MinInsync() {
			return wrong(want.Name, "min.insync.replicas is %d: with KAFKA_REPLICATION_FACTOR %d it must be %d at least, "+
				"or the death of a broker loses what was acknowledged", insync, c.ReplicationFactor, c.MinInsync())
		}
	}
	if is["unclean.leader.election.enable"] == "true" && copies > 1 {
		return wrong(want.Name,
			"unclean.leader.election.enable is true: a stale copy could become the log; it must be false")
	}
	if most, err := strconv.Atoi(is["max.message.bytes"]); err == nil && most < want.MaxBytes {
		return wrong(want.Name, "max.message.bytes is %d: it must be %d at least", most, want.MaxBytes)
	}
	ms, err := strconv.ParseInt(is["retention.ms"], 10, 64)
	kept := time.Duration(ms) * time.Millisecond
	if err == nil && ms >= 0 && (want.Retention == 0 || kept < want.Retention) {
		slog.Warn("topic forgets sooner than configured", "topic", want.Name, "kept", kept, "configured", want.Retention)
	}
	return nil
}

// wrong is the error of a topic that somebody must put right: class Permanent.
func wrong(topic, rule string, args ...any) error {
	return fault.New(fault.Permanent, "topic "+topic+": "+rule, args...)
}
