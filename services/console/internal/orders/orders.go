// Package orders asks the query service, by its REST, for what the console shows of orders.
package orders

import (
	"bufio"
	"context"
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
	// maxLine bounds one line of a stream, in bytes.
	maxLine = 1 << 20
)

// Query is the query service at a base URL. Errors are problems with the class that it says, Unavailable, or those of
// problem.Decode.
type Query struct{ client, streams *queryapi.Client }

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
	server, with := strings.TrimRight(url, "/")+"/", by.Transport(issuer, transport)
	return &Query{
		client:  &queryapi.Client{Server: server, Client: doer{&http.Client{Transport: with, Timeout: callWithin}}},
		streams: &queryapi.Client{Server: server, Client: doer{&http.Client{Transport: with}}},
	}
}

// doer says who it is that does not answer.
type doer struct{ *http.Client }

func (d doer) Do(req *http.Request) (*http.Response, error) {
	resp, err := d.Client.Do(req)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "query does not answer: %w", err)
	}
	return resp, nil
}

// Order returns an order as it is. NotFound: its OrderPlaced is not known.
func (q *Query) Order(ctx context.Context, id string) (queryapi.Order, error) {
	return problem.Decode[queryapi.Order](q.client.GetOrder(ctx, id, &queryapi.GetOrderParams{Prefer: new("wait=0")}))
}

// Story returns all that happened to an order. NotFound is certain.
func (q *Query) Story(ctx context.Context, id string) (queryapi.Story, error) {
	return problem.Decode[queryapi.Story](q.client.GetOrderEvents(ctx, id))
}

// List returns a page of orders.
func (q *Query) List(ctx context.Context, f Filter) (queryapi.OrderPage, error) {
	return problem.Decode[queryapi.OrderPage](q.client.ListOrders(ctx, &queryapi.ListOrdersParams{
		CustomerID: client.Given(f.CustomerID), Status: client.Given(f.Status), Open: client.Given(f.Open),
		PageSize: client.Given(f.PageSize), PageToken: client.Given(f.PageToken),
	}))
}

// Rebuild returns the last rebuild of query's read model, StartRebuild begins one, CancelRebuild gives it up.
func (q *Query) Rebuild(ctx context.Context) (view.Rebuild, error) {
	return problem.Decode[view.Rebuild](q.client.GetRebuild(ctx))
}

// StartRebuild begins a rebuild of query's read model.
func (q *Query) StartRebuild(ctx context.Context) (view.Rebuild, error) {
	return problem.Decode[view.Rebuild](q.client.StartRebuild(ctx, queryapi.StartRebuildJSONRequestBody{}))
}

// CancelRebuild gives up what is under way.
func (q *Query) CancelRebuild(ctx context.Context) (view.Rebuild, error) {
	return problem.Decode[view.Rebuild](q.client.CancelRebuild(ctx))
}

// Follow calls tell at first, for each change of an order's story and for each exception, until ctx ends, tell fails, or the
// stream does. It returns nil when ctx ended.
func (q *Query) Follow(ctx context.Context, id string, tell func() error) error {
	resp, err := problem.Check(q.streams.StreamOrder(ctx, id, &queryapi.StreamOrderParams{Story: new(true)}))
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
