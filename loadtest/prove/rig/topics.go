package rig

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Partitions of every topic.
const Partitions = 12

// topicsWithin bounds the wait until topics are gone, or there.
const topicsWithin = 30 * time.Second

// RenewTopics deletes all topics, does something, and creates them again as they were: other logs under the same names. It says how many.
func (r *Rig) RenewTopics(ctx context.Context, meanwhile func()) (topics int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*topicsWithin)
	defer cancel()
	c, err := kgo.NewClient(kgo.SeedBrokers(r.KafkaAddrs...), kgo.MetadataMinAge(10*time.Millisecond))
	if err != nil {
		return 0, err
	}
	defer c.Close()
	admin := kadm.NewClient(c)
	there, err := admin.ListTopics(ctx) // not the broker's own
	if err != nil {
		return 0, err
	}
	settings, err := settings(ctx, admin, there.Names())
	if err != nil {
		return 0, err
	}
	deleted, err := admin.DeleteTopics(ctx, there.Names()...)
	if err = errors.Join(err, deleted.Error()); err != nil {
		return 0, err
	}
	err = Until(ctx, "the topics are gone", func() (string, error) {
		left, err := admin.ListTopics(ctx)
		if err == nil && len(left) > 0 {
			return fmt.Sprintf("%v are there", left.Names()), nil
		}
		return "", err
	})
	if err != nil {
		return 0, err
	}
	meanwhile()
	for _, topic := range slices.Sorted(maps.Keys(there)) {
		err := Until(ctx, topic+" is there", func() (string, error) {
			_, err := admin.CreateTopic(ctx, int32(len(there[topic].Partitions)), int16(there[topic].Partitions.NumReplicas()),
				settings[topic], topic)
			if errors.Is(err, kerr.TopicAlreadyExists) || err == nil {
				return "", nil
			}
			return err.Error(), nil
		})
		if err != nil {
			return 0, err
		}
	}
	return len(there), nil
}

// settings are those of the topics themselves.
func settings(ctx context.Context, admin *kadm.Client, topics []string) (map[string]map[string]*string, error) {
	described, err := admin.DescribeTopicConfigs(ctx, topics...)
	if err != nil {
		return nil, err
	}
	own := map[string]map[string]*string{}
	for _, topic := range described {
		own[topic.Name] = map[string]*string{}
		for _, c := range topic.Configs {
			if c.Source == kmsg.ConfigSourceDynamicTopicConfig {
				own[topic.Name][c.Key] = c.Value
			}
		}
	}
	return own, nil
}
