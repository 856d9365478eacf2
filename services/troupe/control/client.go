package control

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/services/troupe/internal/supervise"
)

// Client talks to the control API of a running playground. Every call blocks for 30 s at most.
type Client struct {
	base string
	http http.Client
}

// NewClient returns a client of the API at a URL such as http://127.0.0.1:8089.
func NewClient(base string) *Client {
	return &Client{base: strings.TrimRight(base, "/"), http: http.Client{Timeout: 30 * time.Second}}
}

// Processes lists the supervised processes.
func (c *Client) Processes(ctx context.Context) ([]supervise.Status, error) {
	var l List
	err := c.call(ctx, http.MethodGet, "/processes", nil, &l)
	return l.Processes, err
}

// Do does kill, term, pause, resume, stop or start to a process: what was stopped stays away until it is started. It does not wait for the outcome.
func (c *Client) Do(ctx context.Context, process, action string) error {
	return c.call(ctx, http.MethodPost, "/processes/"+url.PathEscape(process)+"/"+url.PathEscape(action), nil, nil)
}

// FlushRedis wipes the playground's Redis.
func (c *Client) FlushRedis(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "/redis/flush", nil, nil)
}

func (c *Client) call(ctx context.Context, method, path string, body, into any) error {
	var content io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, content)
	if err != nil {
		return fault.New(fault.Invalid, "control URL %q: %w", c.base, err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set(Header, "1")
	resp, err := c.http.Do(req)
	if err != nil {
		return fault.New(fault.Unavailable, "ask the playground: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if err := problem.Read(resp); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(into)
}
