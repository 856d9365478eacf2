// Package httpapi is the door through which customers place and cancel orders. The contract is
// schemas/openapi/order.yaml; the server is generated from it, and every request is held against it first.
package httpapi

import (
	"bytes"
	"context"
	"encoding/hex"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant"
	"github.com/troupe-dev/troupe/pkg/participant/admission"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/pkg/telemetry"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	"github.com/troupe-dev/troupe/services/order/internal/domain"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

//go:generate go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2 -config ../../../../schemas/openapi/order.gen.yaml -o api.gen.go ../../../../schemas/openapi/order.yaml

const (
	// publishWithin bounds the wait for the log. It goes on when the caller hangs up: the outcome should still be known here.
	publishWithin = 10 * time.Second
	// inFlightRetry is when to ask again about a request under way.
	inFlightRetry = time.Second
)

// Door is what the HTTP door needs of the participant's: see admission.Control.
type Door interface {
	Admit(ctx context.Context, orderID, hash string, wait time.Duration) (admission.Decision[domain.Order], error)
	Publish(ctx context.Context, e event.Event) (partition int, offset int64, err error)
	Admitted(ctx context.Context, orderID, hash string, offset int64) error
	Find(ctx context.Context, orderID string, wait time.Duration) (admission.Order[domain.Order], bool, error)
}

var (
	ordersPlaced   = telemetry.OrdersPlaced.Counter()
	ordersRepeated = telemetry.OrdersRepeated.Counter()
)

// PlaceOrder puts a new order into the log, or finds the one that the same request put there before.
func (s *Server) PlaceOrder(ctx context.Context, req PlaceOrderRequestObject) (PlaceOrderResponseObject, error) {
	if !auth.CallerOf(ctx).Is(req.Body.CustomerID) {
		return nil, auth.NotTheCaller(ctx, "/customer_id")
	}
	placed, err := domain.Place(*req.Body, s.cfg.Currencies, s.cfg.PaymentDeadline, s.now())
	if err != nil {
		return nil, err
	}
	if err := s.clock.Err(); err != nil { // the order would carry a deadline made of it
		return nil, err
	}
	id := event.MakeID(s.participant, placed.CustomerID, req.Params.IdempotencyKey)
	hash := hex.EncodeToString(placed.BodyHash)
	a, err := s.door.Admit(ctx, id, hash, s.cfg.FindWithin)
	switch {
	case err != nil:
		return nil, err
	case a.New:
		return s.publishPlaced(ctx, id, hash, placed)
	case a.Folded != nil && bytes.Equal(a.Folded.State.BodyHash, placed.BodyHash):
		ordersRepeated.Add(ctx, 1)
		return s.accepted(id, placed, a.Folded.Partition, a.Folded.Offset), nil
	case a.Folded != nil || !a.SameBody:
		return nil, problem.New(http.StatusUnprocessableEntity, "idempotency-key-reused", "Idempotency key reused",
			"this customer has used this Idempotency-Key for another body")
	case a.Published:
		ordersRepeated.Add(ctx, 1)
		return s.accepted(id, placed, a.Partition, a.Offset), nil
	}
	return nil, fault.Later(inFlightRetry, "%w", problem.New(http.StatusConflict, "request-in-flight", "Request in flight",
		"a request with this Idempotency-Key is on its way; send it again in a moment"))
}

func (s *Server) publishPlaced(ctx context.Context, id, hash string, placed domain.OrderPlaced) (PlaceOrderResponseObject, error) {
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), publishWithin)
	defer done()
	partition, offset, err := s.publish(ctx,
		event.Event{ID: event.MakeID(id, "OrderPlaced"), Subject: id, Sequence: 1, Time: placed.PlacedAt}, placedBody(placed))
	if err != nil {
		return nil, err
	}
	ordersPlaced.Add(ctx, 1)
	if err := s.door.Admitted(ctx, id, hash, offset); err != nil {
		// The order is in the log, which is what 202 says; a retry finds it there as soon as it is folded.
		slog.WarnContext(ctx, "marker not written", "order_id", id, "error", err)
	}
	return s.accepted(id, placed, partition, offset), nil
}

// placedBody is the first fact as others read it.
func placedBody(f domain.OrderPlaced) *orderv1.OrderPlaced {
	body := &orderv1.OrderPlaced{
		CustomerId: f.CustomerID, Email: f.Email, Currency: f.Currency, PaymentMethod: f.PaymentMethod,
		Total: f.Total, BodyHash: f.BodyHash,
		PlacedAt: timestamppb.New(f.PlacedAt), PaymentDeadline: timestamppb.New(f.PaymentDeadline),
	}
	for _, l := range f.Lines {
		body.Lines = append(body.Lines, &orderv1.Line{Sku: l.SKU, Name: l.Name, Quantity: l.Quantity, UnitPrice: l.UnitPrice})
	}
	return body
}

// accepted is the answer to the request that placed an order, and to every repetition of it.
func (s *Server) accepted(id string, placed domain.OrderPlaced, partition int, offset int64) PlaceOrderResponseObject {
	return PlaceOrder202JSONResponse{
		Body: PlacedOrder{
			ID: id, Status: OrderStatusPlaced, Total: placed.Total, Currency: placed.Currency,
			ConsistencyToken: s.token(partition, offset),
		},
		Headers: PlaceOrder202ResponseHeaders{Location: strings.TrimRight(s.cfg.QueryURL, "/") + "/orders/" + id},
	}
}

// CancelOrder puts a request for cancellation into the log. Its id is made from the order's, so asking twice is asking once.
func (s *Server) CancelOrder(ctx context.Context, req CancelOrderRequestObject) (CancelOrderResponseObject, error) {
	found, ok, err := s.door.Find(ctx, req.ID, s.cfg.FindWithin)
	now := s.now()
	switch {
	case err != nil:
		return nil, err
	case !ok || found.State.Status == domain.Unplaced, !auth.CallerOf(ctx).Is(found.State.CustomerID):
		// The order of another is answered as none would be: that it exists is not told.
		return nil, fault.New(fault.NotFound, "there is no order with this id")
	case s.clock.Err() != nil:
		return nil, s.clock.Err()
	case !found.State.Cancellable(now, s.cfg.CancelWindow):
		return nil, problem.New(http.StatusConflict, "cancel-window-closed", "Cancel window closed",
			"an order can be cancelled for "+s.cfg.CancelWindow.String()+" after it was placed")
	}
	ctx, done := context.WithTimeout(context.WithoutCancel(telemetry.Rejoin(ctx, found.TraceParent)), publishWithin)
	defer done()
	asked := event.Event{ID: event.MakeID(req.ID, "OrderCancellationRequested"), Subject: req.ID, Time: now}
	partition, offset, err := s.publish(ctx, asked, &orderv1.OrderCancellationRequested{RequestedAt: timestamppb.New(now)})
	if err != nil {
		return nil, err
	}
	return CancelOrder202JSONResponse{
		ID: req.ID, Status: OrderStatus(found.State.Status), ConsistencyToken: s.token(partition, offset),
	}, nil
}

func (s *Server) publish(ctx context.Context, e event.Event, body proto.Message) (partition int, offset int64, err error) {
	data, err := event.Encode(body)
	if err != nil {
		return 0, 0, fault.As(fault.Permanent, err)
	}
	e.Type, e.Source, e.Data = event.TypeOf(body), s.participant, data
	e.TraceParent = telemetry.TraceParent(ctx)
	return s.door.Publish(ctx, e)
}

// token names a place in the log. The offset is unknown (-1) when retention took the fact; then there is nothing to wait for.
func (s *Server) token(partition int, offset int64) string {
	tp := broker.TopicPartition{Topic: participant.FactsTopic(s.participant), Partition: partition}
	return event.Token(tp, max(0, offset))
}
