package order

import (
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/pkg/config"
)

func TestDefaultsAreValid(t *testing.T) {
	c, err := config.Load[Config](nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.HTTPAddr != "127.0.0.1:8081" || c.Partitions != 12 || c.API.PaymentDeadline.Minutes() != 15 || c.API.CancelWindow.Hours() != 14*24 {
		t.Errorf("got %+v", c)
	}
}

func TestWrongVariablesAreNamed(t *testing.T) {
	for _, tc := range []struct{ variable, value string }{
		{"QUERY_PUBLIC_URL", "127.0.0.1:8084"},
		{"QUERY_PUBLIC_URL", "http://user:pass@host"},
		{"QUERY_PUBLIC_URL", "ftp://host"},
		{"QUERY_PUBLIC_URL", "http://host?x=1"},
		{"PAYMENT_DEADLINE", "0s"},
		{"PAYMENT_DEADLINE", "24h"},
		{"CANCEL_WINDOW", "-1h"},
		{"CANCEL_WINDOW", "700h"},
		{"CURRENCIES", "EUR,XYZ1"},
		{"CURRENCIES", "eur"},
		{"CURRENCIES", "EUR, USD"},
		{"CURRENCIES", "EUR,ISK"},
		{"CURRENCIES", "UGX"},
		{"CURRENCIES", "MGA"},
		{"FIND_WITHIN", "0s"},
		{"FIND_WITHIN", "1m"},
		{"DRAIN", "1h"},
		{"RETENTION", "1h"},
		{"RETENTION", "876000h"}, // times three it is no time.Duration any more
		{"ORDER_CONCURRENCY", "0"},
		{"PARTITIONS", "0"},
		{"KAFKA_COMPRESSION", "rar"},
		{"LOG_LEVEL", "loud"},
	} {
		_, err := config.Load[Config]([]string{tc.variable + "=" + tc.value})
		if err == nil || !strings.Contains(err.Error(), tc.variable+": ") {
			t.Errorf("%s=%s: %v", tc.variable, tc.value, err)
		}
	}
}

func TestACurrencyInAnotherUnitIsRefusedAndSaysWhy(t *testing.T) {
	_, err := config.Load[Config]([]string{"CURRENCIES=EUR,ISK,KWD"})
	const want = `CURRENCIES: "ISK" cannot be taken: the gateway counts it in another unit than ISO 4217`
	if err == nil || strings.Count(err.Error(), "CURRENCIES") != 1 || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestEveryVariableHasHelp(t *testing.T) {
	lines := strings.Split(strings.TrimRight(config.Usage[Config](), "\n"), "\n")
	for i, line := range lines {
		if !strings.HasPrefix(line, "   ") && (i+1 == len(lines) || !strings.HasPrefix(lines[i+1], "      ")) {
			t.Errorf("no help for %s", strings.TrimSpace(line))
		}
	}
}
