package rig

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/pkg/wait"
	"github.com/troupe-dev/troupe/schemas/check"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

const (
	// knocks are the customers at each door of a knock: more than a service has connections to Redis, so that they queue for these.
	knocks = 60
	// refusedWithin bounds the answer to them: the 2 s that the store may cost a request; the rest is for a machine that is
	// busy. Who waits for the store for ever gives up later.
	refusedWithin = 8 * time.Second
)

// knocked is what became of customers who asked for an order once.
type knocked struct {
	mu      sync.Mutex
	refused int           // with 503
	taken   []string      // ids of their orders
	odd     []string      // answers that are neither
	slowest time.Duration // of those who were answered, or gave up
}

// knock lets customers order at every door at once, who do not come again.
func (r *Rig) knock(ctx context.Context) *knocked {
	k := &knocked{}
	var all sync.WaitGroup
	for _, door := range r.Orders {
		for range knocks {
			all.Go(func() { k.once(ctx, door) })
		}
	}
	all.Wait()
	return k
}

func (k *knocked) once(ctx context.Context, door *rest.Client) {
	began := time.Now()
	a, err := door.Place(ctx, uuid.NewString(), rest.PlaceOrder{
		CustomerID: "knocks", Email: "knocks@example.com", Currency: "EUR", PaymentMethod: "pm_card_visa",
		Lines: []rest.Line{{SKU: "TEA-250", Name: "Green tea", Quantity: 1, UnitPrice: 100}},
	})
	took := time.Since(began)
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case err == nil:
		k.taken = append(k.taken, a.ID)
	case problem.Is(err, problem.SlugUnavailable):
		k.refused++
	case fault.ClassOf(err) != fault.Unavailable:
		k.odd = append(k.odd, err.Error())
	case took < refusedWithin:
		return // its process has died meanwhile
	}
	k.slowest = max(k.slowest, took)
}

// wrong says what a door did that may take nothing: it refuses.
func (k *knocked) wrong(while string) (found []check.Violation) {
	for _, id := range k.taken {
		found = append(found, check.Violation{Guarantee: check.Choreography, Order: id, Text: "was taken while " + while})
	}
	for _, said := range k.odd {
		found = append(found, check.Violation{Guarantee: check.Choreography, Text: "while " + while + " a door answered: " + said})
	}
	return found
}

// SilenceRedis stops Redis for a while, so that its connections stay and nobody is answered, and lets customers knock: each must be
// refused soon. seen says that they were; the error, that nobody was there to refuse.
func (r *Rig) SilenceRedis(ctx context.Context, length time.Duration) (seen string, wrong []check.Violation, err error) {
	const while = "Redis said nothing"
	r.stored.Lock()
	defer r.stored.Unlock()
	began := time.Now()
	if err := r.stopRedis(ctx); err != nil {
		return "", nil, err
	}
	k := r.knock(ctx)
	_ = wait.Sleep(ctx, length-time.Since(began)) // the caller looks at ctx
	if err := r.continueRedis(context.WithoutCancel(ctx)); err != nil {
		return "", nil, err
	}
	wrong = k.wrong(while)
	if k.slowest > refusedWithin {
		wrong = append(wrong, check.Violation{Guarantee: check.Stuck, Text: fmt.Sprintf(
			"a customer who orders while %s has no answer within %s, but after %s", while, refusedWithin, k.slowest.Round(time.Millisecond))})
	}
	if k.refused+len(wrong) == 0 {
		return "", nil, errNobody
	}
	return fmt.Sprintf("%d customers were refused, the last after %s", k.refused, k.slowest.Round(time.Millisecond)), wrong, nil
}
