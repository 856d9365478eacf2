package rest

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/tmaxmax/go-sse"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/pkg/wait"
	"github.com/troupe-dev/troupe/schemas/client"
	"github.com/troupe-dev/troupe/schemas/client/queryapi"
)

const (
	maxEvent  = 1 << 20
	retryFrom = 100 * time.Millisecond
	retryTo   = 2 * time.Second
)

// Follow reads GET /orders/{id}/stream and calls each with every document, until each returns true or ctx ends. A
// stream that breaks, or a service that is away, is asked again from where it was. Errors: ctx's, and what asking again
// cannot mend.
func (c *Client) Follow(ctx context.Context, id string, each func(Order) (enough bool)) error {
	version, pause := int64(0), retryFrom
	for {
		before := version
		enough, err := c.stream(ctx, id, &version, each)
		if enough {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil && fault.ClassOf(err) != fault.Unavailable {
			return err
		}
		if version > before {
			pause = retryFrom
		}
		if err := wait.Sleep(ctx, pause); err != nil {
			return err
		}
		pause = min(2*pause, retryTo)
	}
}

func (c *Client) stream(ctx context.Context, id string, version *int64, each func(Order) bool) (enough bool, err error) {
	p := queryapi.StreamOrderParams{LastEventID: client.Given(*version)}
	resp, err := problem.Check(c.streams.StreamOrder(ctx, id, &p))
	if err != nil {
		return false, err
	}
	defer func() { _ = resp.Body.Close() }()
	for e, err := range sse.Read(resp.Body, &sse.ReadConfig{MaxEventSize: maxEvent}) {
		if err != nil {
			return false, fault.New(fault.Unavailable, "the stream broke: %w", err)
		}
		if e.Type != "order" {
			continue
		}
		var o Order
		if err := json.Unmarshal([]byte(e.Data), &o); err != nil {
			return false, fmt.Errorf("the stream is not as the contract says: %w", err)
		}
		*version = o.Version
		if each(o) {
			return true, nil
		}
	}
	return false, nil
}
