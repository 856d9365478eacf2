package broker

import (
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"
)

// outage tells the log once when Kafka, or a part of it, stops answering, and once when all of it is back.
type outage struct {
	brokers []string
	mu      sync.Mutex
	since   time.Time
	any     atomic.Bool     // something fails
	failing map[string]bool // by what was asked: a broker, the cluster's metadata, a group
}

// failed notes that something did not answer.
func (o *outage) failed(asked string, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.failing) == 0 {
		o.since = time.Now()
		slog.Warn("waiting for kafka", "brokers", strings.Join(o.brokers, ","), "asked", asked, "error", err)
		o.failing = map[string]bool{}
		o.any.Store(true)
	}
	o.failing[asked] = true
}

// answered notes that it does again.
func (o *outage) answered(asked string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.failing[asked] {
		return
	}
	delete(o.failing, asked)
	o.ended()
}

// allowed notes what a broker says of reading or writing a topic: a refusal is an outage of that alone.
func (o *outage) allowed(doing, topic string, answer int16) {
	refused := kafka.Error(answer) == kafka.TopicAuthorizationFailed
	if !refused && !o.any.Load() {
		return
	}
	if asked := doing + " topic " + topic; refused {
		o.failed(asked, kafka.Error(answer))
	} else if answer == 0 {
		o.answered(asked)
	}
}

// alive forgets the brokers that left the cluster: nobody will ask them again.
func (o *outage) alive(asked func(string) bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.failing) == 0 {
		return
	}
	for name := range o.failing {
		if strings.HasPrefix(name, "broker ") && !asked(name) {
			delete(o.failing, name)
		}
	}
	o.ended()
}

// ended tells the log when nothing fails any more; the caller holds mu.
func (o *outage) ended() {
	if len(o.failing) == 0 {
		o.any.Store(false)
		slog.Warn("kafka is back", "brokers", strings.Join(o.brokers, ","),
			"after", time.Since(o.since).Round(time.Millisecond))
	}
}
