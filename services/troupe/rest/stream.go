package rest

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
)

const (
	maxEvent  = 1 << 20
	retryFrom = 100 * time.Millisecond
	retryTo   = 2 * time.Second
)

// Follow reads GET /orders/{id}/stream and calls each with every document, until each returns true or ctx ends. A stream that
// breaks, or a service that is away, is asked again from where it was. Errors: ctx's, and what asking again cannot mend.
func (c *Client) Follow(ctx context.Context, id string, each func(Order) (enough bool)) error {
	version, wait := int64(0), retryFrom
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
			wait = retryFrom
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		wait = min(2*wait, retryTo)
	}
}

func (c *Client) stream(ctx context.Context, id string, version *int64, each func(Order) bool) (enough bool, err error) {
	h := http.Header{"Accept": {"text/event-stream"}}
	if *version > 0 {
		h.Set("Last-Event-ID", strconv.FormatInt(*version, 10))
	}
	resp, err := c.send(ctx, http.MethodGet, c.query+"/orders/"+url.PathEscape(id)+"/stream", h, nil)
	if err != nil {
		return false, err
	}
	defer func() { _ = resp.Body.Close() }()
	err = events(resp.Body, func(name, data string) error {
		if name != "order" {
			return nil
		}
		o := Order{Raw: []byte(data)}
		if err := decode(o.Raw, &o); err != nil {
			return err
		}
		*version = o.Version
		if enough = each(o); enough {
			return io.EOF
		}
		return nil
	})
	if err == io.EOF { //nolint:errorlint // ours, from above
		err = nil
	}
	return enough, err
}

// events reads server-sent events until the stream ends (nil), breaks (Unavailable) or each returns an error, which it returns.
func events(r io.Reader, each func(name, data string) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 16<<10), maxEvent)
	var name string
	var data []string
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case lines.Text() == "":
			if len(data) > 0 {
				if err := each(name, strings.Join(data, "\n")); err != nil {
					return err
				}
			}
			name, data = "", nil
		case field == "event":
			name = value
		case field == "data":
			data = append(data, value)
		}
	}
	if err := lines.Err(); err != nil {
		return fault.New(fault.Unavailable, "the stream broke: %w", err)
	}
	return nil
}
