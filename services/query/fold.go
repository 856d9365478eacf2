// Package query is the customers' read side: it folds every fact into a read model in Redis, and answers reads from it.
package query

import (
	"context"
	"errors"
	"slices"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/projection"
	"github.com/troupe-dev/troupe/pkg/taskstore"
	"github.com/troupe-dev/troupe/pkg/view"
	notificationv1 "github.com/troupe-dev/troupe/schemas/gen/notification/v1"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	paymentv1 "github.com/troupe-dev/troupe/schemas/gen/payment/v1"
	"github.com/troupe-dev/troupe/services/query/internal/readmodel"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Name of the service, of its consumer group, and the prefix of its keys.
const Name = readmodel.Name

// Document is one order as the read model keeps it.
type Document = readmodel.Document

// FoldVersion must be raised whenever Fold, the indexes or the document change meaning.
const FoldVersion = 5

// Continues is the oldest fold version that today's code can read and fold on, so that reads go on while it is replaced.
const Continues = FoldVersion

// Behavior is what the projection does: the one place that says how events become documents.
func Behavior() projection.Behavior[Document] {
	return projection.Behavior[Document]{
		Name: Name, FoldVersion: FoldVersion, Continues: Continues, Topics: readmodel.Topics, Ages: readmodel.KeyAll, Kept: readmodel.Kept,
		Fold: fold, Index: readmodel.Index, Append: readmodel.Append, Parse: readmodel.Parse, Notes: readmodel.Notes, Note: note,
	}
}

// FoldOrder returns the document that the records of one order fold into: what the read model holds once it has read them.
// The records of each topic must be in the order of the log.
func FoldOrder(records []broker.Record) Document {
	doc, _ := Behavior().FoldOrder(records)
	return doc
}

// fold changes the section of the event's own topic only. An event that cannot be decoded or is not known keeps its place in
// the story.
func fold(d Document, m event.Message, at projection.At) Document {
	d = d.WithEvent(slices.Index(readmodel.Topics, at.Topic), at.Offset, m.Time)
	when := view.At(m.Time)
	switch at.Topic {
	case readmodel.Topics[0]:
		d.Order = foldOrder(d.Order, m, when)
	case readmodel.Topics[1]:
		d.Payment = foldPayment(d.Payment, m, when)
	case readmodel.Topics[2]:
		d.Mails = foldMail(d.Mails, m, when)
	}
	return d
}

// ReadOrder reads an order from the read model that cfg names, as it is; ok is false when it is not there. It is for tools and
// tests that compare it with FoldOrder.
func ReadOrder(ctx context.Context, cfg taskstore.Config, partitions int, id string) (doc Document, ok bool, err error) {
	redis, err := cfg.Client()
	if err != nil {
		return Document{}, false, err
	}
	defer func() { err = errors.Join(err, redis.Close()) }()
	found, _, err := projection.NewReader(Behavior(), redis).Get(ctx, broker.Partition([]byte(id), partitions), id)
	return found.Doc, found.Version > 0, err
}

// note keeps where a topic of dead letters speaks of an order, for its story.
func note(r broker.Record) (id string, fold func(Document) Document, err error) {
	rec, err := deadletter.Parse(r)
	if err != nil {
		return "", nil, err
	}
	n := readmodel.Note{Offset: r.Offset, Retried: rec.Automatic && rec.Kind == deadletter.Failed}
	return readmodel.NotesID(r.Topic, rec.Order), func(d Document) Document { return d.WithNote(n, r.Time) }, nil
}

func foldOrder(o readmodel.Order, m event.Message, when readmodel.Moment) readmodel.Order {
	switch b := m.Body.(type) {
	case *orderv1.OrderPlaced:
		o.Customer, o.Currency, o.Total = b.GetCustomerId(), b.GetCurrency(), b.GetTotal()
		o.Placed = moment(b.GetPlacedAt(), when)
		o.Lines = lines(b.GetLines())
	case *orderv1.OrderCancellationRequested:
		if o.Requested == 0 {
			o.Requested = moment(b.GetRequestedAt(), when)
		}
	case *orderv1.OrderConfirmed:
		o.Confirmed = when
	case *orderv1.OrderCancelled:
		o.Cancelled = when
		o.Reason = event.EnumText(b.GetReason())
	}
	return o
}

func lines(from []*orderv1.Line) []readmodel.Line {
	if len(from) == 0 {
		return nil
	}
	all := make([]readmodel.Line, len(from))
	for i, l := range from {
		all[i] = readmodel.Line{SKU: l.GetSku(), Name: l.GetName(), Quantity: l.GetQuantity(), UnitPrice: l.GetUnitPrice()}
	}
	return all
}

func foldPayment(p readmodel.Payment, m event.Message, when readmodel.Moment) readmodel.Payment {
	switch b := m.Body.(type) {
	case *paymentv1.PaymentSucceeded:
		p.Intent, p.Amount, p.Currency = b.GetPaymentIntentId(), b.GetAmount(), b.GetCurrency()
		p.Succeeded = when
	case *paymentv1.PaymentDeclined:
		p.Intent, p.Reason = b.GetPaymentIntentId(), b.GetReason()
		p.Declined = when
	case *paymentv1.PaymentRefunded:
		p.Refund = b.GetRefundId()
		p.Refunded = when
	}
	return p
}

func foldMail(mails []readmodel.Mail, m event.Message, when readmodel.Moment) []readmodel.Mail {
	switch b := m.Body.(type) {
	case *notificationv1.NotificationSent:
		mail := readmodel.Mail{Kind: event.EnumText(b.GetKind()), MessageID: b.GetMessageId(), Sent: when}
		return append(slices.Clone(mails), mail)
	case *notificationv1.NotificationFailed:
		mail := readmodel.Mail{Kind: event.EnumText(b.GetKind()), MessageID: b.GetMessageId(), Reason: b.GetReason()}
		return append(slices.Clone(mails), mail)
	}
	return mails
}

func moment(t *timestamppb.Timestamp, otherwise readmodel.Moment) readmodel.Moment {
	if !t.IsValid() || t.AsTime().Unix() <= 0 {
		return otherwise
	}
	return view.At(t.AsTime())
}
