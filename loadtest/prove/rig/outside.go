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
	"github.com/troupe-dev/troupe/schemas/check"
	"github.com/troupe-dev/troupe/services/query"
	"github.com/troupe-dev/troupe/services/troupe/inspect"
)

// System is the troupe as it is looked at from outside: by Log, Orders, RedisAddr, Gateway and Mailbox.
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

// readWithin is the least time for the reading. It is bounded, as what never came to rest may not be readable either.
const readWithin = 30 * time.Second

// Judge waits until a system is at rest, reads all of it, and says what is wrong. What has no rest within a time is stuck;
// missing, when set, is told now and then what is.
func Judge(
	ctx context.Context, s inspect.System, placed []check.Expected, within time.Duration, missing func(string),
) (*check.Report, error) {
	quiet, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	stuck := inspect.Quiet(quiet, s, placed, missing)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	ctx, end := context.WithTimeout(ctx, max(within, readWithin))
	defer end()
	found, err := inspect.Run(ctx, s, placed)
	if stuck == nil {
		return found, err
	}
	if err != nil {
		found, stuck = &check.Report{}, fmt.Errorf("%w; %w", stuck, err)
	}
	found.Violation(check.Stuck, "", "%v", stuck)
	return found, nil
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
