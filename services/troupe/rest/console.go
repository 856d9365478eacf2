package rest

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/schemas/client"
	"github.com/troupe-dev/troupe/schemas/client/consoleapi"
)

// MaxWait is the longest that the console waits for an outcome in one call.
const MaxWait = 30 * time.Second

// Console is a client of the console's REST, as schemas/openapi/console.yaml describes it. Errors are those of Client.
type Console struct {
	doer doer
	api  *consoleapi.Client
	of   *consoleapi.ReadModel // whose read model a rebuild is of; nil: query's
}

// NewConsole returns a client of the console at a base URL.
func NewConsole(baseURL string) *Console {
	return newConsole(base(baseURL), newDoer())
}

// As returns the client with tokens in its requests.
func (c *Console) As(tokens Tokens) *Console {
	with := newConsole(c.api.Server, c.doer.as(tokens))
	with.of = c.of
	return with
}

func newConsole(server string, d doer) *Console {
	return &Console{doer: d, api: &consoleapi.Client{Server: server, Client: d}}
}

// LetterFilter says which chains are meant, by their heads. Zero values do not filter.
type LetterFilter struct{ Participant, Class, Type, OrderID string }

// Paging of a list; zero values are the first page and the service's default size.
type Paging struct {
	Token string
	Size  int
}

// Groups reads what is parked by participant, class and type.
func (c *Console) Groups(ctx context.Context, f LetterFilter) (g Groups, err error) {
	p := consoleapi.ListGroupsParams{
		Participant: client.Given(f.Participant), Class: client.Given(f.Class), Type: client.Given(f.Type), OrderID: client.Given(f.OrderID),
	}
	g.Raw, err = call(ctx, 0, &g, func(ctx context.Context) (*http.Response, error) { return c.api.ListGroups(ctx, &p) })
	return g, err
}

// Letters reads one page of the chains that wait, by their heads.
func (c *Console) Letters(ctx context.Context, f LetterFilter, page Paging) (l LetterPage, err error) {
	p := consoleapi.ListLettersParams{
		Participant: client.Given(f.Participant), Class: client.Given(f.Class), Type: client.Given(f.Type), OrderID: client.Given(f.OrderID),
		PageSize: client.Given(page.Size), PageToken: client.Given(page.Token),
	}
	l.Raw, err = call(ctx, 0, &l, func(ctx context.Context) (*http.Response, error) { return c.api.ListLetters(ctx, &p) })
	return l, err
}

// Chain reads one page of a chain, with payloads; what became of it so far is on the first.
func (c *Console) Chain(ctx context.Context, participant, orderID string, page Paging) (chain Chain, err error) {
	p := consoleapi.GetChainParams{PageSize: client.Given(page.Size), PageToken: client.Given(page.Token)}
	chain.Raw, err = call(ctx, 0, &chain, func(ctx context.Context) (*http.Response, error) {
		return c.api.GetChain(ctx, participant, orderID, &p)
	})
	return chain, err
}

// Log reads one page of the audit trail, the newest first. It filters by participant and order only.
func (c *Console) Log(ctx context.Context, f LetterFilter, page Paging) (l LogPage, err error) {
	p := consoleapi.ListLogParams{
		Participant: client.Given(f.Participant), OrderID: client.Given(f.OrderID), PageSize: client.Given(page.Size), PageToken: client.Given(page.Token),
	}
	l.Raw, err = call(ctx, 0, &l, func(ctx context.Context) (*http.Response, error) { return c.api.ListLog(ctx, &p) })
	return l, err
}

// Act is the body of a redrive (By, Reason, Force), an edit (all of it) or a discard (By, Reason, LetterID).
type Act struct {
	By, Reason, LetterID string
	Payload              json.RawMessage
	Force                bool
}

// Act asks for a redrive, an edit or a discard (the action) of a chain, and waits at most wait (whole seconds, MaxWait
// at most) for what becomes of it. The same asked twice is harmless.
func (c *Console) Act(ctx context.Context, participant, orderID, action string, a Act, wait time.Duration) (s RequestState, err error) {
	s.Raw, err = call(ctx, wait, &s, func(ctx context.Context) (*http.Response, error) {
		switch action {
		case "redrive":
			return c.api.RedriveChain(ctx, participant, orderID, &consoleapi.RedriveChainParams{Prefer: prefer(wait)},
				consoleapi.Redrive{By: a.By, Reason: a.Reason, Force: a.Force})
		case "edit":
			return c.api.EditLetter(ctx, participant, orderID, &consoleapi.EditLetterParams{Prefer: prefer(wait)},
				consoleapi.Edit{By: a.By, Reason: a.Reason, LetterID: a.LetterID, Payload: a.Payload, Force: a.Force})
		case "discard":
			return c.api.DiscardLetter(ctx, participant, orderID, &consoleapi.DiscardLetterParams{Prefer: prefer(wait)},
				consoleapi.Discard{By: a.By, Reason: a.Reason, LetterID: a.LetterID})
		}
		return nil, fault.New(fault.Invalid, "no action %q", action)
	})
	return s, err
}

// Request asks again what became of an Act, and waits as it does.
func (c *Console) Request(ctx context.Context, id string, wait time.Duration) (s RequestState, err error) {
	p := consoleapi.GetRequestParams{Prefer: prefer(wait)}
	s.Raw, err = call(ctx, wait, &s, func(ctx context.Context) (*http.Response, error) { return c.api.GetRequest(ctx, id, &p) })
	return s, err
}

// Own returns the console with whose rebuilds those of its own read model are meant, and not query's.
func (c *Console) Own() *Console {
	own := *c
	own.of = client.Given(consoleapi.ReadModel("console"))
	return &own
}

// Rebuild reads how far the rebuild of the read model is.
func (c *Console) Rebuild(ctx context.Context) (r Rebuild, err error) {
	r.Raw, err = call(ctx, 0, &r, func(ctx context.Context) (*http.Response, error) {
		return c.api.GetRebuild(ctx, &consoleapi.GetRebuildParams{Of: c.of})
	})
	return r, err
}

// StartRebuild begins one.
func (c *Console) StartRebuild(ctx context.Context) (r Rebuild, err error) {
	r.Raw, err = call(ctx, 0, &r, func(ctx context.Context) (*http.Response, error) {
		return c.api.StartRebuild(ctx, &consoleapi.StartRebuildParams{Of: c.of}, consoleapi.StartRebuild{})
	})
	return r, err
}

// CancelRebuild gives up what is under way.
func (c *Console) CancelRebuild(ctx context.Context) (r Rebuild, err error) {
	r.Raw, err = call(ctx, 0, &r, func(ctx context.Context) (*http.Response, error) {
		return c.api.CancelRebuild(ctx, &consoleapi.CancelRebuildParams{Of: c.of})
	})
	return r, err
}
