// Package orderstest finds in a store what a participant's task has stored of an order.
package orderstest

import (
	"strings"

	"github.com/troupe-dev/troupe/pkg/participant/internal/orders"
)

// Find looks for an order in the hashes of its task, by their names without the hash tag. It returns the name of the
// hash that holds it, empty where none does. What cannot be read looks like an order that nobody has seen.
func Find(id string, hashes map[string]map[string]string) (hash string, o *orders.Order) {
	o = &orders.Order{ID: id}
	text := ""
	for name, all := range hashes {
		stored, ok := all[id]
		if ok && strings.HasPrefix(name, "orders:") && hash <= name { // the one for orders with dead letters sorts last
			hash, text = name, stored
		}
	}
	if o.Read(text) != nil {
		o = &orders.Order{ID: id}
	}
	return hash, o
}
