package rest

import (
	"context"
	"encoding/json"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/schemas/client"
	"github.com/troupe-dev/troupe/schemas/client/consoleapi"
)

// Console is a client of the console's REST, as schemas/openapi/console.yaml describes it. Errors are those of Client.
type Console struct {
	doer doer
	api  *consoleapi.Client
}

// NewConsole returns a client of the console at a base URL.
func NewConsole(baseURL string) *Console {
	return newConsole(base(baseURL), newDoer())
}

// As returns the client with tokens in its requests.
func (c *Console) As(tokens Tokens) *Console {
	return newConsole(c.api.Server, doer{c.doer.http, tokens})
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
func (c *Console) Groups(ctx context.Context, f LetterFilter) (consoleapi.Groups, error) {
	return problem.Decode[consoleapi.Groups](c.api.ListGroups(ctx, &consoleapi.ListGroupsParams{
		Participant: client.Given(f.Participant), Class: client.Given(f.Class), Type: client.Given(f.Type), OrderID: client.Given(f.OrderID),
	}))
}

// Letters reads one page of the chains that wait, by their heads.
func (c *Console) Letters(ctx context.Context, f LetterFilter, page Paging) (LetterPage, error) {
	return problem.Decode[LetterPage](c.api.ListLetters(ctx, &consoleapi.ListLettersParams{
		Participant: client.Given(f.Participant), Class: client.Given(f.Class), Type: client.Given(f.Type), OrderID: client.Given(f.OrderID),
		PageSize: client.Given(page.Size), PageToken: client.Given(page.Token),
	}))
}

// Chain reads one page of a chain, with payloads; what became of it so far is on the first.
func (c *Console) Chain(ctx context.Context, participant, orderID string, page Paging) (Chain, error) {
	return problem.Decode[Chain](c.api.GetChain(ctx, participant, orderID, &consoleapi.GetChainParams{
		PageSize: client.Given(page.Size), PageToken: client.Given(page.Token),
	}))
}

// Log reads one page of the audit trail, the newest first. It filters by participant and order only.
func (c *Console) Log(ctx context.Context, f LetterFilter, page Paging) (consoleapi.LogPage, error) {
	return problem.Decode[consoleapi.LogPage](c.api.ListLog(ctx, &consoleapi.ListLogParams{
		Participant: client.Given(f.Participant), OrderID: client.Given(f.OrderID), PageSize: client.Given(page.Size), PageToken: client.Given(page.Token),
	}))
}

// Act is the body of a redrive (By, Reason, Force), an edit (all of it) or a discard (By, Reason, LetterID).
type Act struct {
	By, Reason, LetterID string
	Payload              json.RawMessage
	Force                bool
}

// Act asks for a redrive, an edit or a discard (the action) of a chain, and waits at most wait (whole seconds, MaxWait
// at most) for what becomes of it. The same asked twice is harmless.
func (c *Console) Act(ctx context.Context, participant, orderID, action string, a Act, wait time.Duration) (RequestState, error) {
	switch action {
	case "redrive":
		return problem.Decode[RequestState](c.api.RedriveChain(ctx, participant, orderID,
			&consoleapi.RedriveChainParams{Prefer: prefer(wait)},
			consoleapi.Redrive{By: a.By, Reason: a.Reason, Force: a.Force}))
	case "edit":
		return problem.Decode[RequestState](c.api.EditLetter(ctx, participant, orderID,
			&consoleapi.EditLetterParams{Prefer: prefer(wait)},
			consoleapi.Edit{By: a.By, Reason: a.Reason, LetterID: a.LetterID, Payload: a.Payload, Force: a.Force}))
	case "discard":
		return problem.Decode[RequestState](c.api.DiscardLetter(ctx, participant, orderID,
			&consoleapi.DiscardLetterParams{Prefer: prefer(wait)},
			consoleapi.Discard{By: a.By, Reason: a.Reason, LetterID: a.LetterID}))
	}
	return RequestState{}, fault.New(fault.Invalid, "no action %q", action)
}

// Request asks again what became of an Act, and waits as it does.
func (c *Console) Request(ctx context.Context, id string, wait time.Duration) (RequestState, error) {
	return problem.Decode[RequestState](c.api.GetRequest(ctx, id, &consoleapi.GetRequestParams{Prefer: prefer(wait)}))
}

// Rebuild reads how far the rebuild of a read model is: that of query, or of console.
func (c *Console) Rebuild(ctx context.Context, of string) (Rebuild, error) {
	return problem.Decode[Rebuild](c.api.GetRebuild(ctx, &consoleapi.GetRebuildParams{Of: &of}))
}

// StartRebuild begins one.
func (c *Console) StartRebuild(ctx context.Context, of string) (Rebuild, error) {
	p := consoleapi.StartRebuildParams{Of: &of}
	return problem.Decode[Rebuild](c.api.StartRebuild(ctx, &p, consoleapi.StartRebuild{}))
}

// CancelRebuild gives up what is under way.
func (c *Console) CancelRebuild(ctx context.Context, of string) (Rebuild, error) {
	return problem.Decode[Rebuild](c.api.CancelRebuild(ctx, &consoleapi.CancelRebuildParams{Of: &of}))
}
