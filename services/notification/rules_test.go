package notification

import (
	"context"
	"reflect"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant"
	"github.com/troupe-dev/troupe/pkg/participant/participanttest"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	paymentv1 "github.com/troupe-dev/troupe/schemas/gen/payment/v1"
	"github.com/troupe-dev/troupe/services/notification/internal/domain"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

// server has one word about each mail, and is down whenever it likes.
type server struct {
	fakeMailer
	t     *rapid.T
	words map[string]error // by event
	mails map[string]Mail  // by event
}

func (s *server) Send(_ context.Context, m Mail) error {
	before, sent := s.mails[m.CauseID]
	if s.mails[m.CauseID] = m; sent && m.Kind != domain.Refunded && !reflect.DeepEqual(before, m) { // a refund's goes to the last address
		s.t.Fatalf("event %s makes %+v, and made %+v", m.CauseID, m, before)
	}
	if rapid.Bool().Draw(s.t, "mail server is down") {
		return fault.New(fault.Unavailable, "down")
	}
	if _, said := s.words[m.CauseID]; !said {
		putOff := fault.Defer(0, "%w", &Refused{Reason: "not now", ForNow: true})
		s.words[m.CauseID] = rapid.SampledFrom([]error{nil, &Refused{Reason: "no"}, putOff}).Draw(s.t, "mail server says")
	}
	return s.words[m.CauseID]
}

func TestTheFiveRules(t *testing.T) {
	address := rapid.SampledFrom([]string{"ada@example.com", "bob@example.com"})
	participanttest.Rules(t, participanttest.Suite[domain.Notices]{
		Instances: func(t *rapid.T) func() participant.Behavior[domain.Notices] {
			s := &server{t: t, words: map[string]error{}, mails: map[string]Mail{}}
			return func() participant.Behavior[domain.Notices] { return Behavior(s, giveUpAfter) }
		},
		Events: map[string]participanttest.Bodies{
			event.TypeOf(&orderv1.OrderConfirmed{}): func(t *rapid.T, _ time.Time) proto.Message {
				return &orderv1.OrderConfirmed{Email: address.Draw(t, "email"), Currency: "EUR", Total: 2500}
			},
			event.TypeOf(&orderv1.OrderCancelled{}): func(t *rapid.T, _ time.Time) proto.Message {
				return &orderv1.OrderCancelled{Email: address.Draw(t, "email"), Currency: "EUR", Total: 2500}
			},
			event.TypeOf(&paymentv1.PaymentRefunded{}): func(*rapid.T, time.Time) proto.Message {
				return &paymentv1.PaymentRefunded{Currency: "EUR", Amount: 2400}
			},
		},
	})
}
