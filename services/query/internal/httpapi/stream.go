package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/lifecycle"
	"github.com/troupe-dev/troupe/pkg/telemetry"
	"github.com/troupe-dev/troupe/services/query/internal/readmodel"
	"github.com/troupe-dev/troupe/services/query/internal/story"
)

var (
	openStreams = telemetry.StreamsOpen.UpDown()
	cutOff      = telemetry.StreamsDropped.Counter()
)

// tailWithin is how long a live tail may take to find the ends of the logs.
const tailWithin = 5 * time.Second

// StreamOrder implements GET /orders/{id}/stream.
func (s *Server) StreamOrder(ctx context.Context, req StreamOrderRequestObject) (StreamOrderResponseObject, error) {
	sees := auth.CallerOf(ctx).Sees
	_, err := s.model.Order(ctx, req.ID, readmodel.Want{Wait: defaultWait, Sees: sees})
	if req.Params.Story && fault.ClassOf(err) == fault.NotFound {
		_, err = s.model.Known(ctx, req.ID, sees)
	}
	if err != nil {
		return nil, err
	}
	ctx, done, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	f := follower{Server: s, id: req.ID, have: req.Params.LastEventID}
	if req.Params.Story { // all is heard before the first version is told, so that who reads it then misses nothing
		if f.exceptions, err = s.listen(ctx); err != nil {
			done()
			return nil, err
		}
	}
	return stream(func(w http.ResponseWriter) error {
		defer done()
		if f.exceptions != nil {
			defer f.exceptions.Stop()
		}
		return f.run(ctx, httpdoor.NewEvents(w, s.Patience))
	}), nil
}

// follower tells a reader of one order.
type follower struct {
	*Server
	id   string
	have int64 // version of the order that the reader has
	// exceptions of all orders; nil: the story is not told.
	exceptions *story.Reader
	told       uint64 // version of the story
}

// run sends the order whenever its version is greater than the reader's. Nothing is queued: a reader that is slow gets the
// newest when it is ready.
func (f *follower) run(ctx context.Context, out *httpdoor.Events) error {
	changed := f.model.Watch(f.id)
	defer changed.Stop()
	var exceptions chan story.Event
	if f.exceptions != nil {
		exceptions = f.exceptions.C
	}
	beat := time.NewTicker(f.Heartbeat)
	defer beat.Stop()
	err := out.Comment("following")
	if err == nil {
		err = f.tell(ctx, out)
	}
	for err == nil {
		select {
		case <-changed.C:
			err = f.tell(ctx, out)
		case e := <-exceptions:
			if e.Subject == f.id && story.Exceptional(e.Kind) {
				err = out.Send("exception", "", shown(e))
			}
		case <-beat.C:
			err = out.Comment("keep-alive")
		case <-lifecycle.Draining(ctx):
			return nil
		case <-ctx.Done():
			return nil
		}
	}
	return err
}

// tell sends what the reader does not have. What cannot be read now (an outage, a rebuild) is read at a later wake-up.
func (f *follower) tell(ctx context.Context, out *httpdoor.Events) error {
	now, err := f.model.Known(ctx, f.id, nil)
	if err != nil {
		return nil
	}
	if now.Status() != "" && int64(now.Version) > f.have {
		if err := out.Send("order", fmt.Sprint(now.Version), order(now)); err != nil {
			return err
		}
		f.have = int64(now.Version)
	}
	if f.exceptions == nil {
		return nil
	}
	_, noted, err := f.model.Notes(ctx, f.id)
	if version := now.Version + noted; err == nil && version != f.told {
		f.told = version
		return out.Send("story", "", struct {
			Version uint64 `json:"version"`
		}{version})
	}
	return nil
}

// StreamEvents implements GET /stream.
func (s *Server) StreamEvents(ctx context.Context, _ StreamEventsRequestObject) (StreamEventsResponseObject, error) {
	ctx, done, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	reader, err := s.listen(ctx)
	if err != nil {
		done()
		return nil, err
	}
	return stream(func(w http.ResponseWriter) error {
		defer done()
		defer reader.Stop()
		return s.watch(ctx, httpdoor.NewEvents(w, s.Patience), reader)
	}), nil
}

// listen joins the live tail.
func (s *Server) listen(ctx context.Context) (*story.Reader, error) {
	ctx, cancel := context.WithTimeout(ctx, tailWithin)
	defer cancel()
	return s.tail.Watch(ctx)
}

// watch sends all events that the caller sees, and says how many it left out.
func (s *Server) watch(ctx context.Context, out *httpdoor.Events, reader *story.Reader) error {
	sees := s.sight(ctx)
	beat := time.NewTicker(s.Heartbeat)
	defer beat.Stop()
	if err := out.Comment("watching"); err != nil {
		return err
	}
	for {
		var err error
		select {
		case e := <-reader.C:
			if sees.event(ctx, e) {
				err = out.Send("event", "", shown(e))
			}
		case <-beat.C:
			err = out.Comment("keep-alive")
		case <-lifecycle.Draining(ctx):
			return nil
		case <-ctx.Done():
			return nil
		}
		if n := reader.Skipped(); err == nil && n > 0 {
			err = out.Send("skipped", "", struct {
				Count int64 `json:"count"`
			}{n})
		}
		if err != nil {
			return err
		}
	}
}

// enter takes a place among the streams, until done is called. The context returned ends with the caller's token.
func (s *Server) enter(ctx context.Context) (valid context.Context, done func(), err error) {
	leave, err := s.streams.Enter(ctx)
	if err != nil {
		return nil, nil, err
	}
	openStreams.Add(ctx, 1)
	valid, cancel := auth.WhileValid(ctx)
	return valid, func() {
		cancel()
		openStreams.Add(context.WithoutCancel(ctx), -1)
		leave()
	}, nil
}

// stream is an answer that goes on.
type stream func(http.ResponseWriter) error

// VisitStreamOrderResponse implements StreamOrderResponseObject.
func (f stream) VisitStreamOrderResponse(w http.ResponseWriter) error { return f.run(w) }

// VisitStreamEventsResponse implements StreamEventsResponseObject.
func (f stream) VisitStreamEventsResponse(w http.ResponseWriter) error { return f.run(w) }

// run reports no error: the answer has begun, and only the reader's side can have failed.
func (f stream) run(w http.ResponseWriter) error {
	if err := f(w); err != nil {
		cutOff.Add(context.Background(), 1)
	}
	return nil
}
