// Package rest is a client of the order, query and console APIs. What schemas/openapi says is generated, in orderapi,
// queryapi and consoleapi; here are what every call needs: bounds of time and size, errors with a class, and a stream
// that goes on where it broke.
package rest

import (
	"cmp"
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/schemas/client"
	"github.com/troupe-dev/troupe/schemas/client/orderapi"
	"github.com/troupe-dev/troupe/schemas/client/queryapi"
)

const (
	// MaxWait is the longest that a service waits for something in one call.
	MaxWait = 30 * time.Second
	// callWithin bounds a call, with the longest wait in it.
	callWithin = MaxWait + 15*time.Second
	// perHost bounds the connections to one service.
	perHost = 256
)

// Client of one order service and one query service. It keeps connections open and may be used by many goroutines.
type Client struct {
	doer    doer
	order   *orderapi.Client
	query   *queryapi.Client
	streams *queryapi.Client
}

// Tokens gives the bearer token of a subject; an empty one is whomever the client acts for. Nil: no request has a token.
type Tokens func(subject string) (string, error)

// New returns a client of the services at two base URLs.
func New(orderURL, queryURL string) *Client {
	return newClient(base(orderURL), base(queryURL), newDoer())
}

func newClient(order, query string, d doer) *Client {
	endless := doer{ // a stream has no end
		&http.Client{Transport: d.http.Transport}, d.tokens,
	}
	return &Client{
		d, &orderapi.Client{Server: order, Client: d}, &queryapi.Client{Server: query, Client: d}, &queryapi.Client{Server: query, Client: endless},
	}
}

// As returns the client with tokens in its requests: that of its customer for an order that is placed, and otherwise that
// of whomever it acts for.
func (c *Client) As(tokens Tokens) *Client {
	return newClient(c.order.Server, c.query.Server, doer{c.doer.http, tokens})
}

// For returns the client acting for a subject.
func (c *Client) For(subject string) *Client {
	tokens := c.doer.tokens
	if tokens == nil {
		return c
	}
	return c.As(func(of string) (string, error) { return tokens(cmp.Or(of, subject)) })
}

// base is a URL as the generated clients want it.
func base(url string) string { return strings.TrimRight(url, "/") + "/" }

// doer puts tokens into requests.
type doer struct {
	http   *http.Client
	tokens Tokens
}

func newDoer() doer {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost, t.MaxConnsPerHost = perHost, perHost
	return doer{http: &http.Client{Transport: t, Timeout: callWithin}}
}

// authorize puts a subject's token into a request that has none.
func (d doer) authorize(req *http.Request, subject string) error {
	if d.tokens == nil || req.Header.Get("Authorization") != "" {
		return nil
	}
	token, err := d.tokens(subject)
	if err == nil {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return err
}

// Do returns Unavailable when nobody answers.
func (d doer) Do(req *http.Request) (*http.Response, error) {
	if err := d.authorize(req, ""); err != nil {
		return nil, err
	}
	resp, err := d.http.Do(req)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "%w", err) // names method and URL
	}
	return resp, nil
}

// prefer asks the server to wait: Prefer of RFC 7240.
func prefer(wait time.Duration) *string {
	text := "wait=" + strconv.Itoa(int(wait.Seconds()))
	return &text
}

// Place sends POST /orders. Sending the same again with the same key is safe.
func (c *Client) Place(ctx context.Context, key string, order PlaceOrder) (Accepted, error) {
	customers := func(_ context.Context, req *http.Request) error { return c.doer.authorize(req, order.CustomerID) }
	p := orderapi.PlaceOrderParams{IdempotencyKey: key}
	return problem.Decode[Accepted](c.order.PlaceOrder(ctx, &p, order, customers))
}

// Cancel sends POST /orders/{id}/cancel; repeating it is safe.
func (c *Client) Cancel(ctx context.Context, id string) (Accepted, error) {
	// net/http may send it again on another connection when a server closed the one it kept; nothing of it is on the wire.
	repeatable := func(_ context.Context, req *http.Request) error {
		req.Header["Idempotency-Key"] = nil
		return nil
	}
	return problem.Decode[Accepted](c.order.CancelOrder(ctx, id, repeatable))
}

// Read says what to wait for before an order is answered.
type Read struct {
	// Token of a write that the answer must show; empty for none.
	Token string
	// Wait at most, whole seconds up to MaxWait; zero means the service's default of 2 s.
	Wait time.Duration
	// UntilSettled waits for the outcome too.
	UntilSettled bool
}

// Order reads GET /orders/{id}.
func (c *Client) Order(ctx context.Context, id string, r Read) (Order, error) {
	p := queryapi.GetOrderParams{ConsistencyToken: client.Given(r.Token)}
	if r.Wait > 0 {
		p.Prefer = prefer(r.Wait)
	}
	if r.UntilSettled {
		p.Until = client.Given("settled")
	}
	return problem.Decode[Order](c.query.GetOrder(ctx, id, &p))
}

// Filter of a list; zero values do not filter. PageSize 0 means the service's default.
type Filter struct {
	CustomerID, Status, PageToken string
	PageSize                      int
}

// List reads one page of GET /orders.
func (c *Client) List(ctx context.Context, f Filter) (queryapi.OrderPage, error) {
	return problem.Decode[queryapi.OrderPage](c.query.ListOrders(ctx, &queryapi.ListOrdersParams{
		CustomerID: client.Given(f.CustomerID), Status: client.Given(f.Status),
		PageSize: client.Given(f.PageSize), PageToken: client.Given(f.PageToken),
	}))
}

// Story reads GET /orders/{id}/events.
func (c *Client) Story(ctx context.Context, id string) (Story, error) {
	return problem.Decode[Story](c.query.GetOrderEvents(ctx, id))
}
