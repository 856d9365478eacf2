package control

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/troupe-dev/troupe/services/troupe/internal/jsonhttp"
	"github.com/troupe-dev/troupe/services/troupe/internal/supervise"
)

// Client talks to the control API of a running playground. Every call blocks for 30 s at most.
type Client struct{ base string }

// NewClient returns a client of the API at a URL such as http://127.0.0.1:8089.
func NewClient(base string) *Client { return &Client{strings.TrimRight(base, "/")} }

// Processes lists the supervised processes.
func (c *Client) Processes(ctx context.Context) ([]supervise.Status, error) {
	var l List
	err := c.call(ctx, http.MethodGet, "/processes", &l)
	return l.Processes, err
}

// Do does kill, term, pause, resume, stop or start to a process: what was stopped stays away until it is started. It does not wait for the outcome.
func (c *Client) Do(ctx context.Context, process, action string) error {
	return c.post(ctx, "/processes/"+url.PathEscape(process)+"/"+url.PathEscape(action))
}

// FlushRedis wipes the playground's Redis.
func (c *Client) FlushRedis(ctx context.Context) error { return c.post(ctx, "/redis/flush") }

// SnapshotRedis remembers what Redis holds at one moment, in the place of the snapshot before.
func (c *Client) SnapshotRedis(ctx context.Context) error { return c.post(ctx, "/redis/snapshot") }

// RestoreRedis puts the snapshot in the place of what Redis holds; keys go on to expire from then. Conflict when there is none.
func (c *Client) RestoreRedis(ctx context.Context) error { return c.post(ctx, "/redis/restore") }

// MoveLeaders has every partition get a leader drawn anew, moments after it returns. Conflict with one broker only (troupe
// play --brokers 3 has three), Unavailable when the brokers are away for 5 s.
func (c *Client) MoveLeaders(ctx context.Context) error { return c.post(ctx, "/broker/leaders/move") }

// MoveCoordinators has every consumer group get another coordinator; otherwise as MoveLeaders.
func (c *Client) MoveCoordinators(ctx context.Context) error {
	return c.post(ctx, "/broker/coordinators/move")
}

func (c *Client) post(ctx context.Context, path string) error {
	return c.call(ctx, http.MethodPost, path, nil)
}

func (c *Client) call(ctx context.Context, method, path string, into any) error {
	if err := jsonhttp.Call(ctx, method, c.base+path, http.Header{Header: {"1"}}, nil, into); err != nil {
		return fmt.Errorf("ask the playground: %w", err)
	}
	return nil
}
