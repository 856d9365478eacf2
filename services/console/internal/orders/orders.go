// Package orders asks the query service, by its REST, for what the console shows of orders.
package orders

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/pkg/view"
	"github.com/troupe-dev/troupe/schemas/client"
	"github.com/troupe-dev/troupe/schemas/client/queryapi"
)

const (
	// callWithin bounds one call, what the service may wait included.
	callWithin = 10 * time.Second
	// maxAnswer bounds one answer, in bytes, and maxLine one line of a stream.
	maxAnswer = 16 << 20
	maxLine   = 1 << 20
)

// Query is the query service at a base URL. Errors are problems with the class that it says, or Unavailable.
type Query struct{ client *queryapi.Client }

// Filter of a list; zero values do not filter. A page's size of 0 is query's default.
type Filter struct {
	CustomerID, Status, PageToken string
	Open                          bool // those that are not settled, the longest waiting first
	PageSize                      int
}

// New returns the query service at a base URL; it opens no connection. An issuer gives the tokens with which it is asked,
// for these credentials; an empty one: it is asked without.
func New(url, issuer string, by auth.Credentials) *Query {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 64
	return &Query{&queryapi.Client{
		Server: strings.TrimRight(url, "/") + "/", Client: &http.Client{Transport: by.Transport(issuer, transport)},
	}}
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
func (q *Query) Order(ctx context.Context, id string) (queryapi.Order, error) {
	return answer[queryapi.Order](ctx, func(ctx context.Context) (*http.Response, error) {
		return q.client.GetOrder(ctx, id, &queryapi.GetOrderParams{Prefer: new("wait=0")})
	})
}

// Story returns all that happened to an order. NotFound is certain.
func (q *Query) Story(ctx context.Context, id string) (queryapi.Story, error) {
	return answer[queryapi.Story](ctx, func(ctx context.Context) (*http.Response, error) { return q.client.GetOrderEvents(ctx, id) })
}

// List returns a page of orders.
func (q *Query) List(ctx context.Context, f Filter) (queryapi.OrderPage, error) {
	p := queryapi.ListOrdersParams{
		CustomerID: client.Given(f.CustomerID), Status: client.Given(f.Status), Open: client.Given(f.Open), PageSize: client.Given(f.PageSize), PageToken: client.Given(f.PageToken),
	}
	return answer[queryapi.OrderPage](ctx, func(ctx context.Context) (*http.Response, error) { return q.client.ListOrders(ctx, &p) })
}

// Rebuild returns the last rebuild of query's read model, StartRebuild begins one, CancelRebuild gives it up.
func (q *Query) Rebuild(ctx context.Context) (view.Rebuild, error) {
	return answer[view.Rebuild](ctx, func(ctx context.Context) (*http.Response, error) { return q.client.GetRebuild(ctx) })
}

// StartRebuild begins a rebuild of query's read model.
func (q *Query) StartRebuild(ctx context.Context) (view.Rebuild, error) {
	return answer[view.Rebuild](ctx, func(ctx context.Context) (*http.Response, error) {
		return q.client.StartRebuild(ctx, queryapi.StartRebuildJSONRequestBody{})
	})
}

// CancelRebuild gives up what is under way.
func (q *Query) CancelRebuild(ctx context.Context) (view.Rebuild, error) {
	return answer[view.Rebuild](ctx, func(ctx context.Context) (*http.Response, error) { return q.client.CancelRebuild(ctx) })
}

// Follow calls tell at first, for each change of an order's story and for each exception, until ctx ends, tell fails, or the
// stream does. It returns nil when ctx ended.
func (q *Query) Follow(ctx context.Context, id string, tell func() error) error {
	resp, err := succeed(q.client.StreamOrder(ctx, id, &queryapi.StreamOrderParams{Story: new(true)}))
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		if line := lines.Text(); line == "event: story" || line == "event: exception" {
			if err := tell(); err != nil {
				return err
			}
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return fault.New(fault.Unavailable, "the stream of query ended: %v", lines.Err())
}
