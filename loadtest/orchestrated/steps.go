package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/cschleiden/go-workflows/workflow"
	"github.com/stripe/stripe-go/v84"
)

// callWithin bounds each request to the gateway, as PAYMENT_GATEWAY_TIMEOUT does Troupe's in a rig.
const callWithin = 3 * time.Second

// Steps are the activities. The engine may perform each of them more than once, so each has the same effect the second
// time: at the gateway by idempotency keys, for mails by Message-IDs, in the order's record by being set.
type Steps struct {
	gateway *stripe.Client
	carrier string // base URL; only some releases have one
	http    *http.Client
	mails   *mailer
	records *records
}

func openSteps(gatewayURL, carrierURL, smtpAddr string, r *records) *Steps {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = atOnce
	c := &http.Client{Transport: t, Timeout: callWithin}
	backends := stripe.NewBackendsWithConfig(&stripe.BackendConfig{
		URL: stripe.String(gatewayURL), HTTPClient: c, MaxNetworkRetries: stripe.Int64(0),
		EnableTelemetry: stripe.Bool(false), LeveledLogger: &stripe.LeveledLogger{Level: stripe.LevelNull},
	})
	return &Steps{
		gateway: stripe.NewClient("sk_test_twin", stripe.WithBackends(backends)), carrier: carrierURL, http: c,
		mails: newMailer(smtpAddr), records: r,
	}
}

// Charge creates the payment intent and confirms it; asked again, it gets the intent that exists. An error that is not
// permanent means that the outcome is unknown.
func (s *Steps) Charge(ctx context.Context, o Placed) (Charge, error) {
	create := &stripe.PaymentIntentCreateParams{
		Amount: stripe.Int64(o.Total), Currency: stripe.String(strings.ToLower(o.Currency)),
		PaymentMethod:      stripe.String(o.Method),
		PaymentMethodTypes: []*string{stripe.String("card")}, Metadata: map[string]string{"order_id": o.ID},
	}
	create.SetIdempotencyKey(o.ID + ":create")
	pi, err := s.gateway.V1PaymentIntents.Create(ctx, create)
	if err != nil {
		return judged(err)
	}
	confirm := &stripe.PaymentIntentConfirmParams{
		PaymentMethod: stripe.String(o.Method), ErrorOnRequiresAction: stripe.Bool(true),
	}
	confirm.SetIdempotencyKey(o.ID + ":confirm")
	if _, err := s.gateway.V1PaymentIntents.Confirm(ctx, pi.ID, confirm); err != nil {
		return judged(err)
	}
	// The answer to a repeated key is the first one, which may be out of date.
	if pi, err = s.gateway.V1PaymentIntents.Retrieve(ctx, pi.ID, nil); err != nil {
		return judged(err)
	}
	switch {
	case pi.Status == stripe.PaymentIntentStatusSucceeded:
		return Charge{Paid: true, Intent: pi.ID}, nil
	case pi.Status == stripe.PaymentIntentStatusRequiresPaymentMethod && pi.LastPaymentError != nil:
		return Charge{}, nil
	default:
		return Charge{}, fmt.Errorf("gateway: the payment is still %s", pi.Status)
	}
}

// judged tells a declined card, what may pass, and what a person must look at apart.
func judged(err error) (Charge, error) {
	e, answered := errors.AsType[*stripe.Error](err)
	passing := func(status int) bool {
		return status >= 500 || status == http.StatusConflict || status == http.StatusTooManyRequests
	}
	switch {
	case !answered || passing(e.HTTPStatusCode):
		return Charge{}, err
	case e.Type == stripe.ErrorTypeCard:
		return Charge{}, nil
	default:
		return Charge{}, workflow.NewPermanentError(fmt.Errorf("gateway: HTTP %d, %s: %s", e.HTTPStatusCode, e.Type, e.Msg))
	}
}

// Refund gives the charge back.
func (s *Steps) Refund(ctx context.Context, o Placed, c Charge) error {
	params := &stripe.RefundCreateParams{
		PaymentIntent: stripe.String(c.Intent), Metadata: map[string]string{"order_id": o.ID},
	}
	params.SetIdempotencyKey(o.ID + ":refund")
	if _, err := s.gateway.V1Refunds.Create(ctx, params); err != nil {
		_, err = judged(err)
		return err
	}
	made := &stripe.RefundListParams{PaymentIntent: stripe.String(c.Intent)}
	for refund, err := range s.gateway.V1Refunds.List(ctx, made) {
		if err != nil {
			return err
		}
		if refund.Status == stripe.RefundStatusSucceeded {
			return s.records.set(ctx, o.ID, "payment", "refunded")
		}
	}
	return errors.New("gateway: the refund is pending")
}

// Confirm records that the order is paid and will be served.
func (s *Steps) Confirm(ctx context.Context, o Placed) error {
	return s.records.set(ctx, o.ID, "status", "confirmed", "payment", "succeeded")
}

// Decline records that the order ends since its card was declined.
func (s *Steps) Decline(ctx context.Context, o Placed) error {
	return s.records.set(ctx, o.ID, "status", "cancelled", "payment", "declined")
}

// Cancel records that the order ends since its customer asked for it.
func (s *Steps) Cancel(ctx context.Context, o Placed) error {
	return s.records.set(ctx, o.ID, "status", "cancelled", "payment", "succeeded")
}

// MailConfirmed tells the customer.
func (s *Steps) MailConfirmed(ctx context.Context, o Placed) error {
	return s.mails.send(ctx, o, "confirmed")
}

// MailCancelled tells the customer.
func (s *Steps) MailCancelled(ctx context.Context, o Placed) error {
	return s.mails.send(ctx, o, "cancelled")
}

// MailRefunded tells the customer.
func (s *Steps) MailRefunded(ctx context.Context, o Placed) error {
	return s.mails.send(ctx, o, "refunded")
}
