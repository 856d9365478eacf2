package main

import (
	"math"
	"time"

	"github.com/cschleiden/go-workflows/workflow"
)

// Placed is an order as its workflow begins with it.
type Placed struct {
	ID, Email, Currency, Method string
	Total                       int64 // in minor units
	// CancelWithin is how long a confirmed order may be cancelled.
	CancelWithin time.Duration
}

// Charge is the gateway's final word.
type Charge struct {
	Paid   bool
	Intent string
}

const cancelSignal = "cancel"

// untilItWorks tries a step again for as long as its error may pass. Every try stays in the workflow's history.
var untilItWorks = workflow.ActivityOptions{RetryOptions: workflow.RetryOptions{
	MaxAttempts: math.MaxInt, FirstRetryInterval: 100 * time.Millisecond, BackoffCoefficient: 2,
	MaxRetryInterval: time.Second,
}}

// steps names the activities for the engine, which has a Steps of its own to call them.
var steps *Steps

// Order is the conductor: the whole story of an order, from its charge to the end of the time in which it may be
// cancelled.
func Order(ctx workflow.Context, o Placed) error {
	return perform(ctx, o, steps.Confirm, steps.MailConfirmed)
}

// perform is Order with the steps of a paid order as an argument, so that a later release may have other ones.
func perform(ctx workflow.Context, o Placed, confirm ...workflow.Activity) error {
	cancel := workflow.NewSignalChannel[bool](ctx, cancelSignal)
	charge, err := workflow.ExecuteActivity[Charge](ctx, untilItWorks, steps.Charge, o).Get(ctx)
	if err != nil {
		return err
	}
	if !charge.Paid {
		return inTurn(ctx, o, steps.Decline, steps.MailCancelled)
	}
	if _, asked := cancel.ReceiveNonBlocking(); !asked {
		if err := inTurn(ctx, o, confirm...); err != nil {
			return err
		}
		if !cancelledWithin(ctx, cancel, o.CancelWithin) {
			return nil
		}
	}
	if err := inTurn(ctx, o, steps.Cancel, steps.MailCancelled); err != nil {
		return err
	}
	if _, err := workflow.ExecuteActivity[any](ctx, untilItWorks, steps.Refund, o, charge).Get(ctx); err != nil {
		return err
	}
	return inTurn(ctx, o, steps.MailRefunded)
}

// inTurn performs steps one after the other.
func inTurn(ctx workflow.Context, o Placed, of ...workflow.Activity) error {
	for _, step := range of {
		if _, err := workflow.ExecuteActivity[any](ctx, untilItWorks, step, o).Get(ctx); err != nil {
			return err
		}
	}
	return nil
}

// cancelledWithin waits for a cancellation, or until it is too late for one.
func cancelledWithin(ctx workflow.Context, cancel workflow.Channel[bool], d time.Duration) (asked bool) {
	timer, stop := workflow.WithCancel(ctx)
	defer stop()
	workflow.Select(ctx,
		workflow.Receive(cancel, func(workflow.Context, bool, bool) { asked = true }),
		workflow.Await(workflow.ScheduleTimer(timer, d), func(workflow.Context, workflow.Future[any]) {}),
	)
	return asked
}
