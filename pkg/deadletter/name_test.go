package deadletter_test

import (
	"testing"

	"github.com/troupe-dev/troupe/pkg/deadletter"
)

func TestMaskedKeepsWhereARecordLies(t *testing.T) {
	for message, want := range map[string]string{
		"record order.events.v1/7@42: attribute key":        "record order.events.v1/7@42: attribute key",
		"no record at payment.events.v1/0@9, nor 8.":        "no record at payment.events.v1/0@9, nor 8.",
		"mail to ada@example.com: 550":                      "mail to *** 550",
		"order.events.v1/7@example.com is an address":       "*** is an address",
		"topic/7@42.example.com, <bob@42.example>, a@b/7@4": "***, <***>, ***",
		"pm_card_visa at order.events.v1/7@42":              "*** at order.events.v1/7@42",
	} {
		if got := deadletter.Masked(message); got != want {
			t.Errorf("%q: %q, not %q", message, got, want)
		}
	}
}
