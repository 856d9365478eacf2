package load

import (
	"context"
	"fmt"
	"time"

	"github.com/troupe-dev/troupe/services/troupe/rest"
)

// settleWithin bounds the wait for one order.
const settleWithin = 30 * time.Second

// Settle places one order and waits until its customer reads that it is confirmed.
func Settle(ctx context.Context, c *rest.Client, key string) error {
	placed, err := c.Place(ctx, key, Tea("settle", "pm_card_visa"))
	if err != nil {
		return err
	}
	o, err := c.Order(ctx, placed.ID, rest.Read{Token: placed.ConsistencyToken, Wait: settleWithin, UntilSettled: true})
	if err == nil && (!o.Settled || o.Status != "confirmed") {
		err = fmt.Errorf("order %s is %s, settled %t", placed.ID, o.Status, o.Settled)
	}
	return err
}

// Tea is an order of two boxes of green tea, as good as any where it does not matter what is in one.
func Tea(customer, method string) rest.PlaceOrder {
	return rest.PlaceOrder{
		CustomerID: customer, Email: "ada@example.com", Currency: "EUR", PaymentMethod: method,
		Lines: []rest.Line{{SKU: "TEA-250", Name: "Green tea", Quantity: 2, UnitPrice: 1250}},
	}
}
