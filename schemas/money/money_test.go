package money

import (
	"math"
	"testing"
)

func TestAnAmountHasTheDecimalsOfItsCurrency(t *testing.T) {
	for _, tc := range []struct {
		minor    int64
		currency string
		want     string
	}{
		{2500, "EUR", "25.00 EUR"},
		{5, "EUR", "0.05 EUR"},
		{0, "USD", "0.00 USD"},
		{2500, "JPY", "2500 JPY"},
		{2500, "KWD", "2.500 KWD"},
		{7, "KWD", "0.007 KWD"},
		{12345, "CLF", "1.2345 CLF"},
		{99_999_999, "GBP", "999999.99 GBP"},
		{-150, "EUR", "-1.50 EUR"},
		{-7, "JPY", "-7 JPY"},
		{math.MinInt64, "EUR", "-92233720368547758.08 EUR"},
	} {
		if got := Format(tc.minor, tc.currency); got != tc.want {
			t.Errorf("Format(%d, %s) = %s, want %s", tc.minor, tc.currency, got, tc.want)
		}
	}
}
