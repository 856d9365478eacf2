// Package orders asks the query service, by its REST, for what the console shows of orders.
package orders

//go:generate go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2 -config ../../../../schemas/openapi/query-client.gen.yaml -o api.gen.go ../../../../schemas/openapi/query.yaml

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/problem"
)

const (
	// callWithin bounds one call, what the service may wait included.
	callWithin = 10 * time.Second
	// maxAnswer bounds one answer, in bytes, and maxLine one line of a stream.
	maxAnswer = 16 << 20
	maxLine   = 1 << 20
)

// Query is the query service at a base URL. Errors are problems with the class that it says, or Unavailable.
type Query struct{ client *Client }

// New returns the query service at a base URL; it opens no connection. An issuer gives the tokens with which it is asked,
// for these credentials; an empty one: it is asked without.
func New(url, issuer string, by auth.Credentials) *Query {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 64
	return &Query{&Client{
		Server: strings.TrimRight(url, "/") + "/", Client: &http.Client{Transport: by.Transport(issuer, transport)},
		RequestEditors: []RequestEditorFn{bare},
	}}
}

// bare leaves out the parameters that are not given, which the generated client sends empty.
func bare(_ context.Context, req *http.Request) error {
	query := req.URL.Query()
	maps.DeleteFunc(query, func(_ string, values []string) bool { return strings.Join(values, "") == "" })
	req.URL.RawQuery = query.Encode()
	maps.DeleteFunc(req.Header, func(_ string, values []string) bool { return strings.Join(values, "") == "" })
	return nil
}

// answer decodes what a call answers into an A.
func answer[A any](ctx context.Context, call func(context.Context) (*http.Response, error)) (a A, err error) {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	resp, err := succeed(call(ctx))
	if err != nil {
		return a, err
	}
	defer func() { _ = resp.Body.Close() }()
	if err := json.NewDecoder(http.MaxBytesReader(nil, resp.Body, maxAnswer)).Decode(&a); err != nil {
		return a, fault.New(fault.Unavailable, "the answer of query: %w", err)
	}
	return a, nil
}

// succeed returns an answer that is no problem; its body is the caller's to close.
func succeed(resp *http.Response, err error) (*http.Response, error) {
	if err != nil {
		return nil, fault.New(fault.Unavailable, "query does not answer: %w", err)
	}
	if err := problem.Read(resp); err != nil {
		_ = resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

// Order returns an order as it is. NotFound: its OrderPlaced is not known.
func (q *Query) Order(ctx context.Context, id string) (Order, error) {
	return answer[Order](ctx, func(ctx context.Context) (*http.Response, error) {
		return q.client.GetOrder(ctx, id, &GetOrderParams{Prefer: "wait=0"})
	})
}

// Story returns all that happened to an order. NotFound is certain.
func (q *Query) Story(ctx context.Context, id string) (Story, error) {
	return answer[Story](ctx, func(ctx context.Context) (*http.Response, error) { return q.client.GetOrderEvents(ctx, id) })
}

// List returns a page of orders.
func (q *Query) List(ctx context.Context, p ListOrdersParams) (OrderPage, error) {
	return answer[OrderPage](ctx, func(ctx context.Context) (*http.Response, error) { return q.client.ListOrders(ctx, &p) })
}

// Open returns how many orders are not settled.
func (q *Query) Open(ctx context.Context) (int64, error) {
	s, err := answer[Stats](ctx, func(ctx context.Context) (*http.Response, error) {
		return q.client.GetStats(ctx, &GetStatsParams{Minutes: 1})
	})
	n := s.Orders
	return n.Placed + n.Confirmed + n.Cancelled - n.Settled, err
}

// Rebuild returns the last rebuild of query's read model, StartRebuild begins one, CancelRebuild gives it up.
func (q *Query) Rebuild(ctx context.Context) (Rebuild, error) {
	return answer[Rebuild](ctx, func(ctx context.Context) (*http.Response, error) { return q.client.GetRebuild(ctx) })
}

// StartRebuild begins a rebuild of query's read model.
func (q *Query) StartRebuild(ctx context.Context) (Rebuild, error) {
	return answer[Rebuild](ctx, func(ctx context.Context) (*http.Response, error) {
		return q.client.StartRebuild(ctx, StartRebuildJSONRequestBody{})
	})
}

// CancelRebuild gives up what is under way.
func (q *Query) CancelRebuild(ctx context.Context) (Rebuild, error) {
	return answer[Rebuild](ctx, func(ctx context.Context) (*http.Response, error) { return q.client.CancelRebuild(ctx) })
}

// Follow calls tell for each event of an order's stream, its story included, until ctx ends, tell fails, or the stream
// does. It returns nil when ctx ended.
func (q *Query) Follow(ctx context.Context, id string, tell func(name string, data []byte) error) error {
	resp, err := succeed(q.client.StreamOrder(ctx, id, &StreamOrderParams{Story: true}))
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxLine)
	name := ""
	for lines.Scan() {
		key, value, _ := bytes.Cut(lines.Bytes(), []byte(": "))
		switch string(key) {
		case "event":
			name = string(value)
		case "data":
			if err := tell(name, value); err != nil {
				return err
			}
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return fault.New(fault.Unavailable, "the stream of query ended: %v", lines.Err())
}
