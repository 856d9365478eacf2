package e2e

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// operator deletes and makes topics as one does who has the right.
type operator struct {
	*kadm.Client
	made map[string]map[string]*string // their settings, by topic
}

func (p *playground) operator(t *testing.T) *operator {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(p.Kafka...), kgo.MetadataMinAge(10*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	o := &operator{kadm.NewClient(c), map[string]map[string]*string{}}
	all := o.list(t)
	configs, err := o.DescribeTopicConfigs(t.Context(), all.Names()...)
	if err != nil {
		t.Fatal(err)
	}
	for _, of := range configs {
		o.made[of.Name] = map[string]*string{}
		for _, c := range of.Configs {
			if c.Source == kmsg.ConfigSourceDynamicTopicConfig {
				o.made[of.Name][c.Key] = c.Value
			}
		}
	}
	return o
}

func (o *operator) list(t *testing.T) kadm.TopicDetails {
	t.Helper()
	all, err := o.ListTopics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// delete deletes all topics and waits until nobody knows them any more.
func (o *operator) delete(t *testing.T) {
	t.Helper()
	done, err := o.DeleteTopics(t.Context(), slices.Sorted(maps.Keys(o.made))...)
	if err = errors.Join(err, done.Error()); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, "the topics are gone", func() error {
		if left := o.list(t).Names(); len(left) > 0 {
			return fmt.Errorf("%v are there", left)
		}
		return nil
	})
}

// create makes those anew that nobody has made yet.
func (o *operator) create(t *testing.T) {
	t.Helper()
	for topic, settings := range o.made {
		eventually(t, 20*time.Second, topic+" is there", func() error {
			_, err := o.CreateTopic(t.Context(), partitions, 1, settings, topic)
			if errors.Is(err, kerr.TopicAlreadyExists) {
				return nil
			}
			return err
		})
	}
}
