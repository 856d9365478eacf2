package httpapi

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/projection"
	"github.com/troupe-dev/troupe/pkg/view"
	"github.com/troupe-dev/troupe/services/console/internal/letters"
)

const (
	maxGroups   = 1000
	maxOutcomes = 200
	// maxPage bounds the bodies of one page of a chain, in bytes; a page holds one letter at least.
	maxPage = 4 << 20
	// certainWithin is how long something that is not found may take to be folded.
	certainWithin = 2 * time.Second
)

// GetPulse implements GET /api/pulse.
func (s *Server) GetPulse(ctx context.Context, _ GetPulseRequestObject) (GetPulseResponseObject, error) {
	sample, _ := s.pulse.Look(ctx)
	if sample.At.IsZero() {
		return nil, fault.Later(time.Second, "the watch has only begun")
	}
	return GetPulse200JSONResponse(sample), nil
}

// ListGroups implements GET /api/dead-letters/groups.
func (s *Server) ListGroups(ctx context.Context, req ListGroupsRequestObject) (ListGroupsResponseObject, error) {
	p := req.Params
	groups, err := s.model.Groups(ctx, letters.Waiting{Participant: p.Participant, Class: p.Class, Type: p.Type, Order: p.OrderID})
	if err != nil {
		return nil, err
	}
	answer := ListGroups200JSONResponse{Groups: append([]Group{}, groups[:min(len(groups), maxGroups)]...)}
	for _, g := range groups {
		answer.Orders += g.Orders
		answer.Letters += g.Letters
	}
	return answer, nil
}

// ListLetters implements GET /api/dead-letters.
func (s *Server) ListLetters(ctx context.Context, req ListLettersRequestObject) (ListLettersResponseObject, error) {
	p := req.Params
	f := letters.Waiting{Participant: p.Participant, Class: p.Class, Type: p.Type, Order: p.OrderID}
	chains, next, err := s.model.Chains(ctx, f, int(p.PageSize), p.PageToken)
	page := ListLetters200JSONResponse{Letters: []Letter{}, NextPageToken: next}
	for _, c := range chains {
		page.Letters = append(page.Letters, letter(c, 0))
	}
	return page, err
}

// GetChain implements GET /api/dead-letters/{participant}/{order_id}.
func (s *Server) GetChain(ctx context.Context, req GetChainRequestObject) (GetChainResponseObject, error) {
	page, err := s.Chain(ctx, req.Participant, req.OrderID, int(req.Params.PageSize), req.Params.PageToken)
	return GetChain200JSONResponse(page), err
}

// Chain reads one page of a chain, and logs who was shown the payloads.
func (s *Server) Chain(ctx context.Context, participant, order string, size int, token string) (Chain, error) {
	chain, err := s.chain(ctx, participant, order)
	if err != nil {
		return Chain{}, err
	}
	slog.InfoContext(ctx, "dead letters shown",
		"subject", auth.CallerOf(ctx).Subject, "participant", chain.Participant, "order_id", chain.Order)
	first, last, err := chain.Page(size, token)
	if err != nil {
		return Chain{}, err
	}
	answer := Chain{
		Participant: chain.Participant, OrderID: chain.Order, Partition: int32(chain.Partition), Waiting: int32(len(chain.Letters)),
		Letters: []ChainLetter{}, Outcomes: []LogEntry{}, Story: "/orders/" + chain.Order + "/events",
	}
	places := letterPlaces(chain, first, last)
	records, err := s.records(ctx, places, chain.Order)
	if err != nil {
		return Chain{}, err
	}
	bytes := 0
	for i, at := range places {
		if bytes += len(records[at].Value); bytes > maxPage && i > 0 {
			last = first + i
			break
		}
		answer.Letters = append(answer.Letters, chainLetter(chain, first+i, records[at]))
	}
	if last < len(chain.Letters) {
		answer.NextPageToken = chain.PageToken(last)
	}
	if first == 0 {
		answer.Outcomes, err = s.entries(ctx, chain.Newest(maxOutcomes), chain.Order)
	}
	return answer, err
}

// letterPlaces says where the letters of a chain from first to before last lie.
func letterPlaces(c letters.Chain, first, last int) []projection.At {
	var places []projection.At
	for _, l := range c.Letters[first:last] {
		places = append(places, projection.At{
			TopicPartition: broker.TopicPartition{Topic: deadletter.Topic(c.Participant), Partition: c.Partition}, Offset: l.At,
		})
	}
	return places
}

// ListLog implements GET /api/dead-letters/log.
func (s *Server) ListLog(ctx context.Context, req ListLogRequestObject) (ListLogResponseObject, error) {
	p := req.Params
	places, next, err := s.model.Log(ctx, letters.Trail{Participant: p.Participant, Order: p.OrderID}, int(p.PageSize), p.PageToken)
	if err != nil {
		return nil, err
	}
	entries, err := s.entries(ctx, places, p.OrderID)
	return ListLog200JSONResponse{Entries: entries, NextPageToken: next}, err
}

// records reads what lies at some places about an order, by its name; empty: about any. What lies there about another is of another log
// than was folded: topics that were made anew are noticed within a second.
func (s *Server) records(ctx context.Context, places []projection.At, order string) (map[projection.At]broker.Record, error) {
	found, err := view.Records(ctx, s.log, places)
	maps.DeleteFunc(found, func(_ projection.At, r broker.Record) bool {
		return order != "" && deadletter.NameOf(deadletter.OrderOf(r)) != order
	})
	return found, err
}

// entries reads what the audit trail says at some places, of an order; empty: of any.
func (s *Server) entries(ctx context.Context, places []projection.At, order string) ([]LogEntry, error) {
	records, err := s.records(ctx, places, order)
	entries := []LogEntry{}
	for _, at := range places {
		if e, ok := entry(records[at]); ok {
			entries = append(entries, e)
		}
	}
	return entries, err
}

// chain returns a chain, or says NotFound when there certainly is none.
func (s *Server) chain(ctx context.Context, participant, order string) (letters.Chain, error) {
	none := fault.New(fault.NotFound, "%s has parked nothing of order %s", participant, order)
	if !slices.Contains(letters.Participants, participant) {
		return letters.Chain{}, none
	}
	chain, ok, err := s.model.Chain(ctx, participant, order)
	if ok || err != nil {
		return chain, err
	}
	if err := s.certain(ctx, deadletter.Topic(participant)); err != nil {
		return letters.Chain{}, err
	}
	if chain, ok, err = s.model.Chain(ctx, participant, order); err == nil && !ok {
		err = none
	}
	return chain, err
}

// certain returns nil when the read model has all that is in some topics now: what is not found then is not there.
func (s *Server) certain(ctx context.Context, topics ...string) error {
	return s.model.Certain(ctx, s.log, broker.LogsOf(s.partitions, topics...), certainWithin)
}
