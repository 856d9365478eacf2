package httpapi

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/contract"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/services/query/internal/readmodel"
	"github.com/troupe-dev/troupe/services/query/internal/story"
)

// defaultWait is how long a read waits that does not say.
const defaultWait = 2 * time.Second

// GetOrder implements GET /orders/{id}.
func (s *Server) GetOrder(ctx context.Context, req GetOrderRequestObject) (GetOrderResponseObject, error) {
	want := readmodel.Want{Settled: req.Params.Until == GetOrderParamsUntilSettled, Sees: auth.CallerOf(ctx).Sees}
	var err error
	if want.Wait, err = contract.Wait(req.Params.Prefer, defaultWait); err != nil {
		return nil, err
	}
	if t := req.Params.ConsistencyToken; t != "" {
		token, err := s.model.ParseToken(t)
		if err != nil {
			return nil, fault.Field("Consistency-Token", "%w", err)
		}
		want.After = &token
	}
	found, err := s.model.Order(ctx, req.ID, want)
	if err != nil {
		return nil, err
	}
	return orderAnswer(order(found)), nil
}

// orderAnswer is an Order with its version as ETag.
type orderAnswer Order

// VisitGetOrderResponse implements GetOrderResponseObject.
func (o orderAnswer) VisitGetOrderResponse(w http.ResponseWriter) error {
	body, err := json.Marshal(Order(o))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("ETag", `"`+strconv.FormatInt(o.Version, 10)+`"`)
	w.WriteHeader(http.StatusOK)
	_, err = w.Write(append(body, '\n'))
	return err
}

// ListOrders implements GET /orders.
func (s *Server) ListOrders(ctx context.Context, req ListOrdersRequestObject) (ListOrdersResponseObject, error) {
	p := req.Params
	if caller := auth.CallerOf(ctx); !caller.Has(auth.Viewer) {
		if p.CustomerID != "" && !caller.Is(p.CustomerID) {
			return nil, auth.NotTheCaller(ctx, "customer_id")
		}
		p.CustomerID = caller.Subject
	}
	filter := readmodel.Filter{Customer: p.CustomerID, Status: readmodel.Status(p.Status), Open: p.Open}
	found, next, err := s.model.List(ctx, filter, int(p.PageSize), p.PageToken)
	if err != nil {
		return nil, err
	}
	page := OrderPage{Orders: make([]Order, len(found)), NextPageToken: next}
	for i, f := range found {
		page.Orders[i] = order(f)
	}
	return ListOrders200JSONResponse(page), nil
}

// certainWithin is how long an order that is not found may take to be folded.
const certainWithin = 2 * time.Second

// GetOrderEvents implements GET /orders/{id}/events. That there is no such order is certain: all is folded then that the
// log of its partition held when it was asked for.
func (s *Server) GetOrderEvents(ctx context.Context, req GetOrderEventsRequestObject) (GetOrderEventsResponseObject, error) {
	sees := auth.CallerOf(ctx).Sees
	found, err := s.model.Known(ctx, req.ID, sees)
	if fault.ClassOf(err) == fault.NotFound {
		placed := broker.TopicPartition{Topic: readmodel.Topics[0], Partition: s.model.Partition(req.ID)}
		if err = s.model.Certain(ctx, s.log, []broker.TopicPartition{placed}, certainWithin); err == nil {
			found, err = s.model.Known(ctx, req.ID, sees)
		}
	}
	if err != nil {
		return nil, err
	}
	notes, noted, err := s.model.Notes(ctx, req.ID)
	if err != nil {
		return nil, err
	}
	events, err := story.Read(ctx, s.log, req.ID, s.model.Events(found), notes)
	if err != nil {
		return nil, err
	}
	answer := storyAnswer{OrderID: req.ID, Version: int64(found.Version + noted), Events: make([]Event, len(events))}
	for i, e := range events {
		answer.Events[i] = shown(e)
	}
	return answer, nil
}

// storyAnswer is a Story with the bodies of its events as they are: the default encoder would write < and & of them as escapes.
type storyAnswer Story

// VisitGetOrderEventsResponse implements GetOrderEventsResponseObject.
func (s storyAnswer) VisitGetOrderEventsResponse(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", "application/json")
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	return out.Encode(Story(s))
}

// GetStats implements GET /stats.
func (s *Server) GetStats(ctx context.Context, req GetStatsRequestObject) (GetStatsResponseObject, error) {
	minutes := int(req.Params.Minutes)
	if minutes == 0 {
		minutes = 15
	}
	stats, err := s.model.Stats(ctx, time.Now(), minutes)
	if err != nil {
		return nil, err
	}
	answer := Stats{
		At: stats.At,
		Orders: OrderCounts{
			Placed: stats.ByStatus[readmodel.Placed], Confirmed: stats.ByStatus[readmodel.Confirmed],
			Cancelled: stats.ByStatus[readmodel.Cancelled], Settled: stats.Settled,
		},
		SettleTime: SettleTime{
			Count: stats.Settle.Count,
			P50Ms: stats.Settle.Percentile(.5), P95Ms: stats.Settle.Percentile(.95), P99Ms: stats.Settle.Percentile(.99),
		},
	}
	for _, m := range stats.Minutes {
		minute := Minute{Start: m.Start, Orders: m.Orders, Revenue: []Money{}}
		for _, currency := range slices.Sorted(maps.Keys(m.Revenue)) {
			minute.Revenue = append(minute.Revenue, Money{Currency: currency, Amount: m.Revenue[currency]})
		}
		answer.Minutes = append(answer.Minutes, minute)
	}
	return GetStats200JSONResponse(answer), nil
}
