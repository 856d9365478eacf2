package web

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/projection"
	"github.com/troupe-dev/troupe/pkg/view"
	"github.com/troupe-dev/troupe/pkg/wait"
	"github.com/troupe-dev/troupe/schemas/client/queryapi"
	"github.com/troupe-dev/troupe/services/console/internal/letters"
)

// storyPage is one order, and all that happened to it.
type storyPage struct {
	row
	Picture picture
	Events  []told
	// Parked are the participants where something of this order waits.
	Parked []string
	Curl   string
}

// told is one event of the table.
type told struct {
	queryapi.Event
	N       int            // from 1
	Cause   int            // number of the event that caused it; 0: it came in at a door
	Name    string         // type without its package
	Headers broker.Headers // of its record, beside those that are the envelope
	Problem bool           // something went wrong here

	// Trace is the id of the trace that it belongs to; empty: none. TraceURL is its address; empty: none is known.
	Trace, TraceURL string
}

func (p *Pages) order(w http.ResponseWriter, r *http.Request) {
	page, err := p.story(r.Context(), httpdoor.Param(r, "id"))
	if err != nil {
		p.fail(w, r, err)
		return
	}
	p.show(w, r, http.StatusOK, "order", "Order", page)
}

func (p *Pages) story(ctx context.Context, id string) (storyPage, error) {
	story, err := p.orders.Story(ctx, id)
	if err != nil {
		return storyPage{}, err
	}
	order, err := p.orders.Order(ctx, id)
	if fault.ClassOf(err) == fault.NotFound { // its first event is not known yet, or not any more
		order, err = queryapi.Order{ID: id}, nil
	}
	if err != nil {
		return storyPage{}, err
	}
	page := storyPage{
		row: rows([]queryapi.Order{order})[0], Curl: fmt.Sprintf("curl -s %s/orders/%s/events", p.cfg.QueryURL, id),
	}
	if page.Events, err = p.tell(ctx, story.Events); err != nil {
		return storyPage{}, err
	}
	page.Parked = parked(page.Events)
	page.Picture = draw(page.Events)
	return page, nil
}

// tell numbers the events, and reads from the log what customers are not shown: headers, and traces.
func (p *Pages) tell(ctx context.Context, events []queryapi.Event) ([]told, error) {
	var places []projection.At
	for _, e := range events {
		if e.Kind == "event" {
			places = append(places, placeOf(e))
		}
	}
	records, err := view.Records(ctx, p.log, places)
	if err != nil {
		return nil, err
	}
	all := make([]told, len(events))
	byID := map[string]int{}
	for i, e := range events {
		all[i] = told{
			Event: e, N: i + 1, Cause: byID[e.CausationID], Name: e.Type[strings.LastIndexByte(e.Type, '.')+1:],
			Problem: e.Kind == "dead_letter" || e.Kind == "failed",
		}
		if e.Kind == "event" {
			r := records[placeOf(e)]
			envelope, _ := event.FromRecord(r) // query read it
			all[i].Headers = r.Headers.Without(event.IsAttribute)
			if part := strings.Split(envelope.TraceParent, "-"); len(part) == 4 {
				all[i].Trace, all[i].TraceURL = part[1], strings.ReplaceAll(p.cfg.TraceURL, "{trace_id}", part[1])
			}
		}
		byID[e.ID] = i + 1
	}
	return all, nil
}

// placeOf says where an event lies.
func placeOf(e queryapi.Event) (at projection.At) {
	at.Topic, at.Partition, at.Offset = e.Topic, e.Partition, e.Offset
	return at
}

// parked are the participants that have parked more letters of an order than have come out again.
func parked(events []told) (at []string) {
	waiting := map[string]int{}
	for _, e := range events {
		switch e.Kind {
		case "redriven", "edited", "discarded":
			waiting[e.Participant]--
		case "dead_letter":
			waiting[e.Participant]++
		}
	}
	for _, p := range letters.Participants {
		if waiting[p] > 0 {
			at = append(at, p)
		}
	}
	return at
}

// followAgain is the wait before query is asked again to tell of an order.
const followAgain = 2 * time.Second

// tellOrder tells that something happened to an order: at first, whenever its story changes, and when there was an exception; a
// page fetches itself again each time. Query hears all before it tells the first, so that such a page has everything. While query
// does not tell, the page looks again and again.
func (p *Pages) tellOrder(ctx context.Context, out *httpdoor.Events, id string) {
	for ctx.Err() == nil {
		var gone error // of the reader
		err := p.orders.Follow(ctx, id, func() error {
			gone = out.Send("order", "", id)
			return gone
		})
		if gone == nil && err != nil {
			gone = out.Send("order", "", id)
		}
		if gone != nil || wait.Sleep(ctx, followAgain) != nil {
			return
		}
	}
}
