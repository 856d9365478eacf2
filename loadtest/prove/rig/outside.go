package rig

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/pkg/taskstore"
	"github.com/troupe-dev/troupe/services/query"
	"github.com/troupe-dev/troupe/services/troupe/inspect"
	"github.com/twmb/franz-go/pkg/kgo"
)

// System is the troupe as it is looked at from outside.
func (r *Rig) System() inspect.System {
	redis := taskstore.Config{Addrs: []string{r.RedisAddr}}
	return inspect.System{
		Log: r.Log, Partitions: Partitions, Orders: r.Orders[0], Gateway: r.Gateway, Mailbox: r.Mailbox, Parked: map[string]bool{},
		Read: func(ctx context.Context, id string) (any, bool, error) {
			doc, ok, err := query.ReadOrder(ctx, redis, Partitions, id)
			return doc, ok, err
		},
		Fold: func(records []broker.Record) any { return query.FoldOrder(records) },
	}
}

// Record makes a record to append, byte for byte the same.
func Record(r broker.Record) *kgo.Record {
	k := &kgo.Record{Topic: r.Topic, Partition: int32(r.Partition), Key: r.Key, Value: r.Value}
	for key, value := range r.Headers.All() {
		k.Headers = append(k.Headers, kgo.RecordHeader{Key: key, Value: value})
	}
	return k
}

var client = &http.Client{Timeout: 10 * time.Second}

// Put sends a JSON document.
func Put(ctx context.Context, url string, body any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, url, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if err := problem.Read(resp); err != nil {
		return fmt.Errorf("PUT %s: %w", url, err)
	}
	return nil
}
