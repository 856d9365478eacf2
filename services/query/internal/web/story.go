package web

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/services/query/internal/readmodel"
	"github.com/troupe-dev/troupe/services/query/internal/story"
)

// storyPage is one order, and all that happened to it.
type storyPage struct {
	row
	// Version grows with everything that the page would show.
	Version uint64
	Picture picture
	Events  []told
	// Parked are the participants where something of this order waits.
	Parked []string
	Curl   string
}

// told is one event of the table.
type told struct {
	story.Event
	N       int    // from 1
	Cause   int    // number of the event that caused it; 0: it came in at a door
	Name    string // type without its package
	Trace   string // id of the trace that it belongs to; empty: none
	Problem bool   // something went wrong here
}

func (p *Pages) order(w http.ResponseWriter, r *http.Request) {
	page, err := p.story(r, httpdoor.Param(r, "id"))
	if err != nil {
		p.fail(w, r, err)
		return
	}
	p.show(w, r, http.StatusOK, "order", "Order", page)
}

func (p *Pages) story(r *http.Request, id string) (storyPage, error) {
	ctx := r.Context()
	found, err := p.known(ctx, id)
	if err != nil {
		return storyPage{}, err
	}
	notes, noted, err := p.model.Notes(ctx, id)
	if err != nil {
		return storyPage{}, err
	}
	events, err := story.Read(ctx, p.log, id, p.model.Events(found), notes)
	if err != nil {
		return storyPage{}, err
	}
	page := storyPage{row: rows([]readmodel.Found{found})[0], Version: found.Version + noted, Curl: fmt.Sprintf("curl -s http://%s/orders/%s/events", p.cfg.Customers, id)}
	page.Events = tell(events)
	page.Parked = parked(events)
	page.Picture = draw(page.Events)
	return page, nil
}

// certainWithin is how long something that is not found may take to be folded.
const certainWithin = 2 * time.Second

// known returns an order. NotFound is certain: all that the order's partition held when it was asked for is folded.
func (p *Pages) known(ctx context.Context, id string) (readmodel.Found, error) {
	found, err := p.model.Known(ctx, id)
	if fault.ClassOf(err) != fault.NotFound {
		return found, err
	}
	ends, certain := p.log.Ends(ctx, []broker.TopicPartition{{Topic: readmodel.Topics[0], Partition: p.model.Partition(id)}})
	if certain == nil {
		certain = p.model.Passed(ctx, ends, certainWithin)
	}
	if certain != nil {
		return found, certain
	}
	return p.model.Known(ctx, id)
}

func tell(events []story.Event) []told {
	all := make([]told, len(events))
	byID := map[string]int{}
	for i, e := range events {
		all[i] = told{
			Event: e, N: i + 1, Cause: byID[e.CausationID], Name: e.Type[strings.LastIndexByte(e.Type, '.')+1:],
			Problem: e.Kind == story.KindDeadLetter || e.Kind == string(deadletter.Failed),
		}
		if part := strings.Split(e.TraceParent, "-"); len(part) == 4 {
			all[i].Trace = part[1]
		}
		byID[e.ID] = i + 1
	}
	return all
}

// parked are the participants that have parked more letters of an order than have come out again.
func parked(events []story.Event) (at []string) {
	waiting := map[string]int{}
	for _, e := range events {
		switch deadletter.Kind(e.Kind) {
		case deadletter.Redriven, deadletter.Edited, deadletter.Discarded:
			waiting[e.Participant]--
		default:
			if e.Kind == story.KindDeadLetter {
				waiting[e.Participant]++
			}
		}
	}
	for _, p := range readmodel.Participants {
		if waiting[p] > 0 {
			at = append(at, p)
		}
	}
	return at
}

// tellOrder tells the version of an order's story at first and whenever it changes, and that there was an exception, which
// changes no version; a page fetches itself again each time. It hears all before it tells the first, so that such a page has
// everything.
func (p *Pages) tellOrder(ctx context.Context, out *stream, id string) {
	changed := p.model.Watch(id)
	defer changed.Stop()
	exceptions, stop := p.exceptions(ctx)
	defer stop()
	have, look := uint64(0), true
	for {
		if look {
			if now, ok := p.version(ctx, id); ok && now != have {
				have = now
				if out.sendJSON("version", map[string]any{"order": id, "version": have}) != nil {
					return // the reader is gone
				}
			}
		}
		look = true
		select {
		case <-changed.C:
		case e := <-exceptions:
			look = false // those of other orders must cost little
			if e.Subject == id && out.sendJSON("exception", map[string]any{"order": id, "kind": e.Kind}) != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// exceptions brings those of all orders until stop is called: none when they cannot be heard.
func (p *Pages) exceptions(ctx context.Context) (c <-chan story.Event, stop func()) {
	if p.cfg.Activity == nil {
		return nil, func() {}
	}
	ctx, cancel := context.WithTimeout(ctx, certainWithin)
	defer cancel()
	reader, err := p.cfg.Activity.Watch(ctx)
	if err != nil {
		return nil, func() {}
	}
	return reader.C, reader.Stop
}

// version of a story; ok is false while it cannot be read.
func (p *Pages) version(ctx context.Context, id string) (v uint64, ok bool) {
	found, err := p.model.Known(ctx, id)
	if err != nil {
		return 0, false
	}
	_, noted, err := p.model.Notes(ctx, id)
	return found.Version + noted, err == nil
}
