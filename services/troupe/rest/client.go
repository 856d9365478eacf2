package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/problem"
)

const (
	// callWithin bounds a call beside what it asks the server to wait.
	callWithin = 15 * time.Second
	// maxAnswer bounds what is read of one answer.
	maxAnswer = 16 << 20
)

// Client of one order service and one query service. It keeps connections open and may be used by many goroutines.
type Client struct {
	order, query string
	http         *http.Client
	tokens       Tokens
}

// Tokens gives the bearer token of a subject; an empty one is whomever the client acts for. Nil: no request has a token.
type Tokens func(subject string) (string, error)

// New returns a client of the services at two base URLs.
func New(orderURL, queryURL string) *Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost, t.MaxConnsPerHost = 256, 256
	return &Client{order: strings.TrimRight(orderURL, "/"), query: strings.TrimRight(queryURL, "/"), http: &http.Client{Transport: t}}
}

// As returns the client with tokens in its requests: that of its customer for an order that is placed, and otherwise that
// of whomever it acts for.
func (c *Client) As(tokens Tokens) *Client {
	with := *c
	with.tokens = tokens
	return &with
}

// authorize puts a subject's token into a request's header.
func (c *Client) authorize(h http.Header, subject string) error {
	if c.tokens == nil || h.Get("Authorization") != "" {
		return nil
	}
	token, err := c.tokens(subject)
	if err == nil {
		h.Set("Authorization", "Bearer "+token)
	}
	return err
}

// Place sends POST /orders. An error is a *problem.Problem with a class where the service said so, and Unavailable when it was not
// reached: sending the same again with the same key is safe.
func (c *Client) Place(ctx context.Context, key string, order PlaceOrder) (Accepted, error) {
	body, err := json.Marshal(order)
	if err != nil {
		return Accepted{}, err
	}
	h := http.Header{"Idempotency-Key": {key}, "Content-Type": {"application/json"}}
	if err := c.authorize(h, order.CustomerID); err != nil {
		return Accepted{}, err
	}
	return c.accepted(ctx, c.order+"/orders", h, body)
}

// Cancel sends POST /orders/{id}/cancel; repeating it is safe.
func (c *Client) Cancel(ctx context.Context, id string) (Accepted, error) {
	return c.accepted(ctx, c.order+"/orders/"+url.PathEscape(id)+"/cancel", nil, nil)
}

func (c *Client) accepted(ctx context.Context, to string, h http.Header, body []byte) (a Accepted, err error) {
	a.Raw, err = c.call(ctx, http.MethodPost, to, h, body, 0)
	if err == nil {
		err = decode(a.Raw, &a)
	}
	return a, err
}

// Read says what to wait for before an order is answered.
type Read struct {
	// Token of a write that the answer must show; empty for none.
	Token string
	// Wait at most, whole seconds up to 30; zero means the service's default of 2 s.
	Wait time.Duration
	// UntilSettled waits for the outcome too.
	UntilSettled bool
}

// Order reads GET /orders/{id}.
func (c *Client) Order(ctx context.Context, id string, r Read) (o Order, err error) {
	h := http.Header{}
	if r.Token != "" {
		h.Set("Consistency-Token", r.Token)
	}
	if r.Wait > 0 {
		h.Set("Prefer", "wait="+strconv.Itoa(int(r.Wait.Seconds())))
	}
	from := c.query + "/orders/" + url.PathEscape(id)
	if r.UntilSettled {
		from += "?until=settled"
	}
	o.Raw, err = c.call(ctx, http.MethodGet, from, h, nil, r.Wait)
	if err == nil {
		err = decode(o.Raw, &o)
	}
	return o, err
}

// Filter of a list; zero values do not filter. PageSize 0 means the service's default.
type Filter struct {
	CustomerID, Status, PageToken string
	PageSize                      int
}

// List reads one page of GET /orders.
func (c *Client) List(ctx context.Context, f Filter) (p Page, err error) {
	q := url.Values{}
	for k, v := range map[string]string{"customer_id": f.CustomerID, "status": f.Status, "page_token": f.PageToken} {
		if v != "" {
			q.Set(k, v)
		}
	}
	if f.PageSize != 0 {
		q.Set("page_size", strconv.Itoa(f.PageSize))
	}
	from := c.query + "/orders"
	if len(q) > 0 {
		from += "?" + q.Encode()
	}
	p.Raw, err = c.call(ctx, http.MethodGet, from, nil, nil, 0)
	if err == nil {
		err = decode(p.Raw, &p)
	}
	return p, err
}

// Story reads GET /orders/{id}/events.
func (c *Client) Story(ctx context.Context, id string) (s Story, err error) {
	raw, err := c.call(ctx, http.MethodGet, c.query+"/orders/"+url.PathEscape(id)+"/events", nil, nil, 0)
	if err == nil {
		err = decode(raw, &s)
	}
	return s, err
}

// call returns the answer's body; wait is how long the server may take beyond the usual.
func (c *Client) call(ctx context.Context, method, to string, h http.Header, body []byte, wait time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, wait+callWithin)
	defer cancel()
	resp, err := c.send(ctx, method, to, h, body)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fault.New(fault.Unavailable, "read the answer of %s: %w", to, err)
	}
	return raw, nil
}

// send returns an answer that is no problem; its body is the caller's to close.
func (c *Client) send(ctx context.Context, method, to string, h http.Header, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, to, bytes.NewReader(body))
	if err != nil {
		return nil, fault.New(fault.Invalid, "%w", err)
	}
	for k, v := range h {
		req.Header[k] = v
	}
	if err := c.authorize(req.Header, ""); err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "%w", err) // names method and URL
	}
	if err := problem.Read(resp); err != nil {
		_ = resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

func decode(raw json.RawMessage, into any) error {
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("the answer is not as the contract says: %w", err)
	}
	return nil
}
