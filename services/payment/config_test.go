package payment

import (
	"errors"
	"testing"

	"github.com/troupe-dev/troupe/pkg/config"
	"github.com/troupe-dev/troupe/pkg/fault"
)

func TestConfig(t *testing.T) {
	for _, tc := range []struct {
		set   []string
		field string // of the first error; empty: none
	}{
		{nil, ""},
		{[]string{"PAYMENT_GATEWAY_URL=https://api.stripe.com/", "PAYMENT_GATEWAY_KEY=sk_live_x"}, ""},
		{[]string{"PAYMENT_GATEWAY_URL=http://127.0.0.1:8090", "PAYMENT_GATEWAY_KEY=sk_live_x"}, "PAYMENT_GATEWAY_URL"},
		{[]string{"PAYMENT_GATEWAY_URL=127.0.0.1:8090"}, "PAYMENT_GATEWAY_URL"},
		{[]string{"PAYMENT_GATEWAY_URL=ftp://127.0.0.1"}, "PAYMENT_GATEWAY_URL"},
		{[]string{"PAYMENT_GATEWAY_URL=http://127.0.0.1/v1"}, "PAYMENT_GATEWAY_URL"},
		{[]string{"PAYMENT_GATEWAY_URL=http://me@127.0.0.1"}, "PAYMENT_GATEWAY_URL"},
		{[]string{"PAYMENT_GATEWAY_URL=:"}, "PAYMENT_GATEWAY_URL"},
		{[]string{"PAYMENT_GATEWAY_KEY=sk test"}, "PAYMENT_GATEWAY_KEY"},
		{[]string{"PAYMENT_GATEWAY_TIMEOUT=99ms"}, "PAYMENT_GATEWAY_TIMEOUT"},
		{[]string{"PAYMENT_GATEWAY_TIMEOUT=61s"}, "PAYMENT_GATEWAY_TIMEOUT"},
		{[]string{"PAYMENT_GATEWAY_TIMEOUT=soon"}, "PAYMENT_GATEWAY_TIMEOUT"},
		{[]string{"GATEWAY_KEY_MEMORY=59s"}, "GATEWAY_KEY_MEMORY"},
		{[]string{"PAYMENT_UNDECIDED_FOR=59s"}, "PAYMENT_UNDECIDED_FOR"},
		{[]string{"PAYMENT_UNDECIDED_FOR=541h"}, "PAYMENT_UNDECIDED_FOR"},
		{[]string{"PAYMENT_CONCURRENCY=0"}, "PAYMENT_CONCURRENCY"},
		{[]string{"PARTITIONS=0"}, "PARTITIONS"},
		{[]string{"RETENTION=23h"}, "RETENTION"},
	} {
		_, err := config.Load[Config](tc.set)
		e, _ := errors.AsType[*fault.Error](err)
		if (err != nil) != (tc.field != "") || e != nil && e.Field != tc.field {
			t.Errorf("%q: %v; want an error of field %q", tc.set, err, tc.field)
		}
	}
}
