package peers

import (
	"context"
	"errors"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill"
	wkafka "github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/loadtest/bench/flow"
)

// Poisoned is where Watermill puts what it cannot handle.
const Poisoned = "bench.poisoned"

// Watermill is its Router with the middlewares its documentation recommends: poison queue, retry, and the deduplicator on Redis.
func Watermill(ctx context.Context, e *flow.Env) (err error) {
	logger := watermill.NopLogger{}
	router, err := message.NewRouter(message.RouterConfig{}, logger)
	if err != nil {
		return err
	}
	settings := wkafka.DefaultSaramaSyncPublisherConfig()
	settings.Producer.RequiredAcks = sarama.WaitForAll
	marshaler := wkafka.NewWithPartitioningMarshaler(func(_ string, m *message.Message) (string, error) { return m.Metadata.Get("key"), nil })
	pub, err := wkafka.NewPublisher(wkafka.PublisherConfig{Brokers: e.Brokers, Marshaler: marshaler, OverwriteSaramaConfig: settings}, logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pub.Close()) }()
	poison, err := middleware.PoisonQueue(pub, Poisoned)
	if err != nil {
		return err
	}
	router.AddMiddleware(middleware.Recoverer, poison, middleware.Retry{MaxRetries: 3, InitialInterval: 50 * time.Millisecond}.Middleware)
	for _, s := range flow.Stages {
		for _, topic := range s.In {
			if err := watermillStage(router, e, s, topic, marshaler, pub, logger); err != nil {
				return err
			}
		}
	}
	return router.Run(ctx)
}

func watermillStage(router *message.Router, e *flow.Env, s flow.Stage, topic string, u wkafka.Unmarshaler, pub message.Publisher,
	logger watermill.LoggerAdapter,
) error {
	settings := wkafka.DefaultSaramaSubscriberConfig()
	settings.Consumer.Offsets.Initial = sarama.OffsetOldest
	sub, err := wkafka.NewSubscriber(wkafka.SubscriberConfig{
		Brokers: e.Brokers, Unmarshaler: u, OverwriteSaramaConfig: settings, ConsumerGroup: s.Name + "." + topic,
	}, logger)
	if err != nil {
		return err
	}
	name := s.Name + "." + topic
	var h *message.Handler
	if s.Out == "" {
		h = router.AddConsumerHandler(name, topic, sub, func(m *message.Message) error {
			in, err := flow.Decode(m.Payload)
			if err != nil {
				return err
			}
			return e.Keep(m.Context(), s, in)
		})
	} else {
		h = router.AddHandler(name, topic, sub, s.Out, pub, func(m *message.Message) ([]*message.Message, error) {
			in, err := flow.Decode(m.Payload)
			if err != nil {
				return nil, err
			}
			o, err := e.React(m.Context(), s, in)
			if err != nil {
				return nil, err
			}
			if err := e.Keep(m.Context(), s, in); err != nil {
				return nil, err
			}
			out := message.NewMessage(o.ID, o.Encode())
			out.Metadata.Set("key", o.OrderID)
			return []*message.Message{out}, nil
		})
	}
	h.AddMiddleware((&middleware.Deduplicator{
		KeyFactory: func(m *message.Message) (string, error) { return s.Name + ":seen:" + m.UUID, nil },
		Repository: seenInRedis{e.Redis}, Timeout: 10 * time.Second,
	}).Middleware)
	return nil
}

// seenInRedis keeps Watermill's deduplication keys.
type seenInRedis struct{ rdb *redis.Client }

func (s seenInRedis) IsDuplicate(ctx context.Context, key string) (bool, error) {
	first, err := s.rdb.SetNX(ctx, key, "1", 24*time.Hour).Result()
	return !first, err
}
