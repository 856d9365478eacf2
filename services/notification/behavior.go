// Package notification is the participant that tells customers by mail what became of their order. It subscribes to orders confirmed
// and cancelled, and payments refunded, and answers with the fact that the mail was sent, or that its recipient was refused.
//
//   - behavior.go: what it subscribes to, its answers
//   - events.go: protobuf as the domain's mails and facts, and back
//   - run.go, config.go: the service around it
//   - internal/domain: what was told, and whom to tell what
//   - internal/mail: the adapter of the mail server
package notification

import (
	"context"
	"errors"
	"time"

	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/participant"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	paymentv1 "github.com/troupe-dev/troupe/schemas/gen/payment/v1"
	"github.com/troupe-dev/troupe/services/notification/internal/domain"
	"github.com/troupe-dev/troupe/services/notification/internal/mail"
	"google.golang.org/protobuf/proto"
)

// Name of the participant.
const Name = "notification"

// Mail is what a Mailer is given.
type Mail = domain.Mail

// Refused is the error by which a Mailer says that the server does not take this mail, for good or for now.
type Refused = mail.Refused

// Mailer is notification's port to the mail server.
type Mailer interface {
	// MessageID of the mail about an event; the same for the same event, however often it is sent.
	MessageID(causeID string) string
	// Send blocks until the mail server has the mail. An error is a *Refused, or has the class that decides between
	// waiting and parking.
	Send(ctx context.Context, m Mail) error
}

// Behavior is what notification does, with m as its port to the mail server. A mail that the server puts off is given
// up once its event is as old as giveUpAfter.
func Behavior(m Mailer, giveUpAfter time.Duration) participant.Behavior[domain.Notices] {
	return participant.Behavior[domain.Notices]{
		Name:        Name,
		FoldVersion: 1,
		Subscribes: []participant.Subscription{
			{Topic: participant.FactsTopic("order"), Types: []string{
				event.TypeOf(&orderv1.OrderConfirmed{}), event.TypeOf(&orderv1.OrderCancelled{}),
			}},
			{Topic: participant.FactsTopic("payment"), Types: []string{event.TypeOf(&paymentv1.PaymentRefunded{})}},
		},
		React:  reactor{mailer: m, giveUpAfter: giveUpAfter}.react,
		Evolve: func(n domain.Notices, m event.Message) domain.Notices { return n.Evolve(fromBody(m.Body)) },
	}
}

type reactor struct {
	mailer      Mailer
	giveUpAfter time.Duration
}

func (r reactor) react(ctx context.Context, state domain.Notices, m event.Message) (proto.Message, error) {
	about, err := mailAbout(m)
	if err != nil {
		return nil, err
	}
	to, ok, err := state.Decide(about.Kind, about.To)
	if err != nil || !ok {
		return participant.Nothing, err
	}
	about.To = to
	fact := domain.Fact{Kind: about.Kind, Status: domain.Sent, Email: to, MessageID: r.mailer.MessageID(m.ID)}
	err = r.mailer.Send(ctx, about)
	refused, isRefused := errors.AsType[*Refused](err)
	tooOld := participant.Now(ctx).Sub(m.Time) >= r.giveUpAfter && !participant.Skewed(ctx)
	switch {
	case isRefused && (!refused.ForNow || tooOld):
		fact.Status, fact.Reason = domain.Failed, refused.Reason
	case err != nil:
		return nil, err
	}
	return toBody(fact), nil
}
