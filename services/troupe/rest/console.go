package rest

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
)

// MaxWait is the longest that the operators' door waits for an outcome in one call.
const MaxWait = 30 * time.Second

// Console is a client of the query service's operators' door, as schemas/openapi/console.yaml describes it. Errors are those of
// Client.
type Console struct {
	base string
	door *Client
}

// NewConsole returns a client of the door at a base URL.
func NewConsole(baseURL string) *Console {
	return &Console{base: strings.TrimRight(baseURL, "/") + "/api/dead-letters", door: New("", "")}
}

// As returns the client with tokens in its requests.
func (c *Console) As(tokens Tokens) *Console { return &Console{c.base, c.door.As(tokens)} }

// LetterFilter says which chains are meant, by their heads. Zero values do not filter.
type LetterFilter struct {
	Participant string `json:"participant,omitempty"`
	Class       string `json:"class,omitempty"`
	Type        string `json:"type,omitempty"`
	OrderID     string `json:"order_id,omitempty"`
}

// Paging of a list; zero values are the first page and the service's default size.
type Paging struct {
	Token string
	Size  int
}

func (f LetterFilter) query(p Paging) url.Values {
	q := url.Values{}
	for k, v := range map[string]string{
		"participant": f.Participant, "class": f.Class, "type": f.Type, "order_id": f.OrderID, "page_token": p.Token,
	} {
		if v != "" {
			q.Set(k, v)
		}
	}
	if p.Size != 0 {
		q.Set("page_size", strconv.Itoa(p.Size))
	}
	return q
}

// Groups reads what waits by participant, class and type.
func (c *Console) Groups(ctx context.Context, f LetterFilter) (g Groups, err error) {
	g.Raw, err = c.get(ctx, "/groups", f.query(Paging{}), &g)
	return g, err
}

// Letters reads one page of the letters that wait; headOnly leaves out what stands behind others.
func (c *Console) Letters(ctx context.Context, f LetterFilter, headOnly bool, p Paging) (l LetterPage, err error) {
	q := f.query(p)
	if headOnly {
		q.Set("head_only", "true")
	}
	l.Raw, err = c.get(ctx, "", q, &l)
	return l, err
}

// Chain reads one page of a chain, with payloads; what became of it so far is on the first.
func (c *Console) Chain(ctx context.Context, participant, orderID string, p Paging) (chain Chain, err error) {
	chain.Raw, err = c.get(ctx, path(participant, orderID), LetterFilter{}.query(p), &chain)
	return chain, err
}

// Log reads one page of the audit trail, the newest first. It filters by participant and order only.
func (c *Console) Log(ctx context.Context, f LetterFilter, p Paging) (l LogPage, err error) {
	l.Raw, err = c.get(ctx, "/log", LetterFilter{Participant: f.Participant, OrderID: f.OrderID}.query(p), &l)
	return l, err
}

// Act asks for a redrive, an edit or a discard (the action) of a chain, and waits at most wait (whole seconds, MaxWait at most) for
// what becomes of it. The same asked twice is harmless.
func (c *Console) Act(ctx context.Context, participant, orderID, action string, a Act, wait time.Duration) (s RequestState, err error) {
	s.Raw, err = c.send(ctx, http.MethodPost, path(participant, orderID)+"/"+action, a, wait, &s)
	return s, err
}

// Request asks again what became of an Act, and waits as it does.
func (c *Console) Request(ctx context.Context, id string, wait time.Duration) (s RequestState, err error) {
	s.Raw, err = c.send(ctx, http.MethodGet, "/requests/"+url.PathEscape(id), nil, wait, &s)
	return s, err
}

// DryRun says what a redrive or discard in bulk would do.
func (c *Console) DryRun(ctx context.Context, action string, b Bulk) (d DryRun, err error) {
	b.DryRun = true
	d.Raw, err = c.send(ctx, http.MethodPost, "/"+action, b, noWait, &d)
	return d, err
}

// Start begins a redrive or discard in bulk; Job says how far it is.
func (c *Console) Start(ctx context.Context, action string, b Bulk) (j Job, err error) {
	b.DryRun = false
	j.Raw, err = c.send(ctx, http.MethodPost, "/"+action, b, noWait, &j)
	return j, err
}

// Job reads how far a job is.
func (c *Console) Job(ctx context.Context, id string) (j Job, err error) {
	j.Raw, err = c.get(ctx, "/jobs/"+url.PathEscape(id), nil, &j)
	return j, err
}

// Cancel stops a job; what it asked for already goes on.
func (c *Console) Cancel(ctx context.Context, id string) (j Job, err error) {
	j.Raw, err = c.send(ctx, http.MethodDelete, "/jobs/"+url.PathEscape(id), nil, noWait, &j)
	return j, err
}

func path(participant, orderID string) string {
	return "/" + url.PathEscape(participant) + "/" + url.PathEscape(orderID)
}

func (c *Console) get(ctx context.Context, path string, q url.Values, into any) (json.RawMessage, error) {
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	return c.send(ctx, http.MethodGet, path, nil, noWait, into)
}

// noWait says nothing about waiting.
const noWait = -1 * time.Second

func (c *Console) send(ctx context.Context, method, path string, body any, wait time.Duration, into any) (json.RawMessage, error) {
	h := http.Header{}
	if wait >= 0 {
		h.Set("Prefer", "wait="+strconv.Itoa(int(wait.Seconds())))
	}
	var raw []byte
	if body != nil {
		var err error
		if raw, err = json.Marshal(body); err != nil {
			return nil, fault.New(fault.Invalid, "%w", err)
		}
		h.Set("Content-Type", "application/json")
	}
	answer, err := c.door.call(ctx, method, c.base+path, h, raw, max(wait, 0))
	if err != nil {
		return nil, err
	}
	return answer, decode(answer, into)
}
