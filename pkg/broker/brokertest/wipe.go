package brokertest

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/wait"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// wipe deletes all topics and groups and waits until they are gone. A group whose members have not left yet is waited
// for.
func wipe(t testing.TB, brokers []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	client := kafka(t, brokers)
	if left, err := untilNone(ctx, func() (int, error) { return wipeOnce(ctx, client) }); left > 0 || err != nil {
		t.Fatalf("empty the Kafka at %s: %d topics and groups left, %v", strings.Join(brokers, ","), left, err)
	}
}

// untilNone looks again and again until nothing is left, or returns what the last look said when ctx ends.
func untilNone(ctx context.Context, look func() (left int, err error)) (left int, err error) {
	for {
		if left, err = look(); err == nil && left == 0 || wait.Sleep(ctx, 50*time.Millisecond) != nil {
			return left, err
		}
	}
}

// kafka is a client that is not the one under test.
func kafka(t testing.TB, brokers []string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append(opts, kgo.SeedBrokers(brokers...), kgo.MetadataMinAge(10*time.Millisecond))...)
	if err != nil {
		t.Fatalf("open a client of Kafka: %v", err)
	}
	t.Cleanup(client.Close)
	return client
}

// wipeOnce returns how many topics and groups it found.
func wipeOnce(ctx context.Context, client *kgo.Client) (left int, err error) {
	request := kmsg.NewPtrMetadataRequest()
	request.AllowAutoTopicCreation = false
	metadata, err := request.RequestWith(ctx, client)
	if err != nil {
		return 0, err
	}
	var topics []string
	for _, topic := range metadata.Topics {
		if name := topic.Topic; name != nil && !strings.HasPrefix(*name, "__") {
			topics = append(topics, *name)
		}
	}
	groups, err := kmsg.NewPtrListGroupsRequest().RequestWith(ctx, client)
	if err != nil {
		return 0, err
	}
	var errs []error
	if len(topics) > 0 {
		_, err := deletion(topics).RequestWith(ctx, client)
		errs = append(errs, err)
	}
	leave := kmsg.NewPtrDeleteGroupsRequest()
	for _, g := range groups.Groups {
		leave.Groups = append(leave.Groups, g.Group)
	}
	if len(leave.Groups) > 0 {
		_, err := leave.RequestWith(ctx, client)
		errs = append(errs, err)
	}
	return len(topics) + len(leave.Groups), errors.Join(append(errs, kerr.ErrorForCode(groups.ErrorCode))...)
}

// trim makes a broker forget the records of a log before start.
func trim(t testing.TB, client *kgo.Client, topic string, partition int32, start int64) {
	t.Helper()
	request := kmsg.NewPtrDeleteRecordsRequest()
	request.TimeoutMillis = 10_000
	request.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: topic,
		Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Partition: partition, Offset: start}}}}
	response, err := request.RequestWith(t.Context(), client)
	if err == nil {
		err = kerr.ErrorForCode(response.Topics[0].Partitions[0].ErrorCode)
	}
	if err != nil {
		t.Fatalf("trim %s/%d to %d: %v", topic, partition, start, err)
	}
}

// Trimmer returns the Trim of a Subject on a Kafka-protocol broker.
func Trimmer(t testing.TB, cfg broker.Config) func(broker.TopicPartition, int64) {
	t.Helper()
	client := kafka(t, cfg.Brokers)
	return func(tp broker.TopicPartition, start int64) { trim(t, client, tp.Topic, int32(tp.Partition), start) }
}

// Deleter returns the Delete of a Subject on a Kafka-protocol broker. It waits until the broker tells of the deletion:
// until then it takes records for the logs that vanish.
func Deleter(t testing.TB, cfg broker.Config) func(topics ...string) {
	t.Helper()
	client := kafka(t, cfg.Brokers)
	return func(topics ...string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		deleted, err := identities(ctx, client, topics)
		if err != nil {
			t.Fatalf("delete topics %v: %v", topics, err)
		}
		response, err := deletion(topics).RequestWith(ctx, client)
		for i := 0; err == nil && i < len(response.Topics); i++ {
			err = kerr.ErrorForCode(response.Topics[i].ErrorCode)
		}
		if err != nil {
			t.Fatalf("delete topics %v: %v", topics, err)
		}
		left, err := untilNone(ctx, func() (int, error) {
			now, err := identities(ctx, client, topics)
			maps.DeleteFunc(now, func(id [16]byte, _ bool) bool { return !deleted[id] })
			return len(now), err
		})
		if left > 0 || err != nil {
			t.Fatalf("delete topics %v: %d are left, %v", topics, left, err)
		}
	}
}

// identities are the ids of those of some topics that exist.
func identities(ctx context.Context, client *kgo.Client, topics []string) (map[[16]byte]bool, error) {
	request := kmsg.NewPtrMetadataRequest()
	for _, name := range topics {
		request.Topics = append(request.Topics, kmsg.MetadataRequestTopic{Topic: kmsg.StringPtr(name)})
	}
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	found := map[[16]byte]bool{}
	for _, topic := range response.Topics {
		if topic.ErrorCode == 0 {
			found[topic.TopicID] = true
		}
	}
	return found, nil
}

// deletion is a request to delete topics.
func deletion(topics []string) *kmsg.DeleteTopicsRequest {
	request := kmsg.NewPtrDeleteTopicsRequest()
	request.TimeoutMillis = 10_000
	for _, name := range topics {
		request.TopicNames = append(request.TopicNames, name)
		request.Topics = append(request.Topics, kmsg.DeleteTopicsRequestTopic{Topic: kmsg.StringPtr(name)})
	}
	return request
}
