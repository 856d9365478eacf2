package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/contract"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/lifecycle"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/pkg/projection"
	"github.com/troupe-dev/troupe/services/console/internal/letters"
)

const (
	// defaultWait is how long a request waits for its outcome that does not say.
	defaultWait = 10 * time.Second
	// guard is how often a head may fail redrives before it takes force.
	guard = 5
)

// RedriveChain implements POST /api/dead-letters/{participant}/{order_id}/redrive.
func (s *Server) RedriveChain(ctx context.Context, req RedriveChainRequestObject) (RedriveChainResponseObject, error) {
	return s.act(ctx, req.Participant, req.OrderID, req.Params.Prefer, wish{
		action: deadletter.Redrive, by: actor(ctx, req.Body.By), reason: req.Body.Reason, force: req.Body.Force,
	})
}

// EditLetter implements POST /api/dead-letters/{participant}/{order_id}/edit.
func (s *Server) EditLetter(ctx context.Context, req EditLetterRequestObject) (EditLetterResponseObject, error) {
	return s.act(ctx, req.Participant, req.OrderID, req.Params.Prefer, wish{
		action: deadletter.Edit, by: actor(ctx, req.Body.By), reason: req.Body.Reason, force: req.Body.Force, letter: req.Body.LetterID,
		payload: req.Body.Payload,
	})
}

// DiscardLetter implements POST /api/dead-letters/{participant}/{order_id}/discard.
func (s *Server) DiscardLetter(ctx context.Context, req DiscardLetterRequestObject) (DiscardLetterResponseObject, error) {
	return s.act(ctx, req.Participant, req.OrderID, req.Params.Prefer, wish{
		action: deadletter.Discard, by: actor(ctx, req.Body.By), reason: req.Body.Reason, letter: req.Body.LetterID,
	})
}

// wish is what an operator wants done with a chain.
type wish struct {
	action     deadletter.Action
	by, reason string
	force      bool
	letter     string // by its name; empty: the head
	payload    json.RawMessage
}

// refused says why a wish is not put to a chain: something that its author did not know.
func (w wish) refused(c letters.Chain) error {
	conflict := func(slug, title, format string, args ...any) error {
		return problem.New(http.StatusConflict, slug, title, fmt.Sprintf(format, args...))
	}
	head := c.Head()
	at := 0
	if w.letter != "" {
		at = c.Find(w.letter)
	}
	switch {
	case head == nil || at < 0:
		return conflict("letter-not-waiting", "Letter not waiting", "it does not wait any more, or never did; %d letters of this order wait", len(c.Letters))
	case w.action == deadletter.Edit && at > 0:
		return conflict("not-the-head", "Not the head", "only the head of a chain can be edited, which is %s", head.ID)
	case w.action != deadletter.Discard && head.Retry == 0 && head.Redrives >= guard && !w.force:
		return conflict("redriven-too-often", "Redriven too often", "the head failed %d redrives; force redrives it once more", head.Redrives)
	}
	return nil
}

// act puts a wish to a chain and waits for the outcome.
func (s *Server) act(ctx context.Context, participant, order, prefer string, w wish) (answer, error) {
	wait, err := contract.Wait(prefer, defaultWait)
	if err != nil {
		return answer{}, err
	}
	chain, err := s.chain(ctx, participant, order)
	if err == nil {
		err = w.refused(chain)
	}
	if err != nil {
		return answer{}, err
	}
	req, err := s.request(ctx, chain, w)
	if err == nil {
		err = s.publish(ctx, chain, req)
	}
	if err != nil {
		return answer{}, err
	}
	a, ok, err := s.await(ctx, req.ID, chain, wait)
	if err != nil || !ok { // it is in the log; who asked can ask again
		a = letters.Answer{Chain: chain, Asked: letters.Asked{ID: req.ID, Action: w.action}}
	}
	return s.answer(ctx, a)
}

// request makes the request of a wish. The true ids of order and letter are those of the letter's record.
func (s *Server) request(ctx context.Context, c letters.Chain, w wish) (deadletter.Request, error) {
	i := max(0, c.Find(w.letter))
	at := letterPlaces(c, i, i+1)[0]
	records, err := s.records(ctx, []projection.At{at}, c.Order)
	if err != nil {
		return deadletter.Request{}, err
	}
	r, ok := records[at]
	if !ok {
		return deadletter.Request{}, fault.New(fault.Unavailable, "the log does not hold the letter at %s/%d@%d", at.Topic, at.Partition, at.Offset)
	}
	rec, err := deadletter.Parse(r)
	if err != nil {
		return deadletter.Request{}, err
	}
	req := deadletter.Request{
		ID: uuid.NewString(), Action: w.action, Order: rec.Order, By: w.by, Reason: w.reason, Partition: c.Partition, At: time.Now().UTC(),
	}
	if w.letter != "" {
		req.Letter = rec.ID
	}
	if w.action == deadletter.Edit {
		if req.Payload, err = edited(deadletter.Original(r), w.payload); err != nil {
			return req, err
		}
	}
	_, err = deadletter.ParseRequest(req.Record(c.Participant)) // an id that is too long for a request, say
	return req, fault.As(fault.Conflict, err)
}

// publish appends a request; when it returns nil, all in-sync replicas have it.
func (s *Server) publish(ctx context.Context, c letters.Chain, req deadletter.Request) error {
	r := req.Record(c.Participant)
	var failed error
	tp := broker.TopicPartition{Topic: r.Topic, Partition: r.Partition}
	s.log.Produce(ctx, []broker.Batch{{TopicPartition: tp, Records: []broker.Record{r}}}, func(p broker.Produced) { failed = p.Err })
	if fault.ClassOf(failed) == fault.Permanent { // somebody has to mend it; who asked cannot
		return fault.Later(30*time.Second, "kafka refuses the request: %w", failed)
	}
	if failed != nil {
		return fault.Later(2*time.Second, "the request may not be in the log: %w", failed)
	}
	return nil
}

// await waits until a request is answered; ok is false when it is not even known yet.
func (s *Server) await(ctx context.Context, id string, c letters.Chain, wait time.Duration) (a letters.Answer, ok bool, err error) {
	changed := s.model.WatchChain(c)
	defer changed.Stop()
	waiting, end := context.WithTimeout(ctx, wait)
	defer end()
	for {
		if a, ok, err = s.model.Request(ctx, id); err != nil || ok && a.Closed != nil {
			return a, ok, err
		}
		select {
		case <-changed.C:
		case <-lifecycle.Draining(ctx):
			return a, ok, nil
		case <-waiting.Done():
			return a, ok, nil
		}
	}
}

// GetRequest implements GET /api/dead-letters/requests/{request_id}.
func (s *Server) GetRequest(ctx context.Context, req GetRequestRequestObject) (GetRequestResponseObject, error) {
	wait, err := contract.Wait(req.Params.Prefer, defaultWait)
	if err != nil {
		return nil, err
	}
	a, ok, err := s.model.Request(ctx, req.RequestID)
	if err == nil && !ok {
		if err = s.certain(ctx, letters.Notes...); err == nil {
			a, ok, err = s.model.Request(ctx, req.RequestID)
		}
	}
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, fault.New(fault.NotFound, "there is no request %s, or it is long past", req.RequestID)
	case a.Closed == nil:
		if a, ok, err = s.await(ctx, req.RequestID, a.Chain, wait); err != nil || !ok {
			return nil, err
		}
	}
	return s.answer(ctx, a)
}

// answer says what became of a request; why, it reads from the log.
func (s *Server) answer(ctx context.Context, a letters.Answer) (answer, error) {
	state := RequestState{
		RequestID: a.Asked.ID, Participant: a.Chain.Participant, OrderID: a.Chain.Order, Action: RequestStateAction(action(a.Asked.Action)),
		State: RequestStateState(a.State()),
	}
	if a.Closed == nil {
		return answer{state}, nil
	}
	state.Redriven, state.Waiting = int32(a.Closed.Redriven), int32(a.Closed.Waiting)
	if state.State == RequestStateStateDone {
		return answer{state}, nil
	}
	said, err := s.entries(ctx, a.Why(), a.Chain.Order)
	if err == nil && len(said) > 0 {
		state.LetterID, state.Class, state.Message = said[0].LetterID, said[0].Class, said[0].Message
	}
	return answer{state}, err
}

// answer is a RequestState: 202 while it waits.
type answer struct{ RequestState }

func (a answer) write(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if a.State == RequestStateStateWaiting {
		w.Header().Set("Location", "/api/dead-letters/requests/"+a.RequestID)
		w.WriteHeader(http.StatusAccepted)
	}
	return json.NewEncoder(w).Encode(a.RequestState)
}

// VisitRedriveChainResponse implements RedriveChainResponseObject.
func (a answer) VisitRedriveChainResponse(w http.ResponseWriter) error { return a.write(w) }

// VisitEditLetterResponse implements EditLetterResponseObject.
func (a answer) VisitEditLetterResponse(w http.ResponseWriter) error { return a.write(w) }

// VisitDiscardLetterResponse implements DiscardLetterResponseObject.
func (a answer) VisitDiscardLetterResponse(w http.ResponseWriter) error { return a.write(w) }

// VisitGetRequestResponse implements GetRequestResponseObject.
func (a answer) VisitGetRequestResponse(w http.ResponseWriter) error { return a.write(w) }
