// Package money writes amounts for people. The contracts hold them in minor units.
package money

import (
	"fmt"
	"strconv"
)

// digits of the minor unit by ISO 4217, list one, where it is not 2.
var digits = map[string]int{
	"BIF": 0, "CLP": 0, "DJF": 0, "GNF": 0, "ISK": 0, "JPY": 0, "KMF": 0, "KRW": 0, "PYG": 0, "RWF": 0, "UGX": 0, "UYI": 0, "VND": 0,
	"VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0,
	"BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3,
	"CLF": 4, "UYW": 4,
}

// Format writes an amount of minor units with as many decimals as its currency has: "25.00 EUR", "2500 JPY", "2.500 KWD". An unknown
// currency has two.
func Format(minor int64, currency string) string {
	n, ok := digits[currency]
	if !ok {
		n = 2
	}
	if n == 0 {
		return strconv.FormatInt(minor, 10) + " " + currency
	}
	sign := ""
	u := uint64(minor)
	if minor < 0 {
		sign, u = "-", -u
	}
	unit := uint64(1)
	for range n {
		unit *= 10
	}
	return fmt.Sprintf("%s%d.%0*d %s", sign, u/unit, n, u%unit, currency)
}
