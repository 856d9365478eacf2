package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/cschleiden/go-workflows/registry"
	"github.com/cschleiden/go-workflows/worker"
	"github.com/cschleiden/go-workflows/workflow"
)

// Releases of the twin. An order goes on under the name under which it began.
const (
	releaseFirst = "first"
	// releaseShipping has one more step under the old name, and no thought of orders under way.
	releaseShipping = "shipping"
	// releaseVersioned has it under a new name, and keeps the old code for those that began with it.
	releaseVersioned = "versioned"
)

const releases = releaseFirst + ", " + releaseShipping + ", " + releaseVersioned

// OrderAndShip is Order with one more step.
func OrderAndShip(ctx workflow.Context, o Placed) error {
	return perform(ctx, o, steps.Confirm, steps.Ship, steps.MailConfirmed)
}

// Ship has the carrier take the parcel, once for an order however often it is asked.
func (s *Steps) Ship(ctx context.Context, o Placed) error {
	body, err := json.Marshal(map[string]string{"reference": o.ID})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.carrier+"/parcels", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Idempotency-Key", o.ID+":ship")
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, resp.Body) // so that the connection is used again
	switch {
	case resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests:
		return fmt.Errorf("carrier: %s", resp.Status)
	case resp.StatusCode >= 300:
		return workflow.NewPermanentError(fmt.Errorf("carrier: %s", resp.Status))
	}
	return nil
}

// register tells the worker what a release can perform, and returns the name under which orders begin.
func register(w *worker.Worker, release string) (name string, err error) {
	const first, second = "Order", "OrderAndShip"
	switch release {
	case releaseFirst:
		return first, w.RegisterWorkflow(Order, registry.WithName(first))
	case releaseShipping:
		return first, w.RegisterWorkflow(OrderAndShip, registry.WithName(first))
	case releaseVersioned:
		if err := w.RegisterWorkflow(Order, registry.WithName(first)); err != nil {
			return "", err
		}
		return second, w.RegisterWorkflow(OrderAndShip, registry.WithName(second))
	default:
		return "", fmt.Errorf("-release must be one of %s, is %q", releases, release)
	}
}
