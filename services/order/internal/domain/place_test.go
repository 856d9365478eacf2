package domain

import (
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
)

var (
	taken   = []string{"EUR", "JPY"}
	morning = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
)

func request() Request {
	return Request{
		CustomerID: "c-1001", Email: "ada@example.com", Currency: "EUR", PaymentMethod: "pm_card_visa",
		Lines: []Line{{SKU: "TEA-250", Name: "Green tea", Quantity: 2, UnitPrice: 1250}},
	}
}

func TestPlaceMakesTheFirstFact(t *testing.T) {
	r := request()
	f, err := Place(r, taken, 15*time.Minute, morning)
	if err != nil {
		t.Fatal(err)
	}
	if f.Total != 2500 || !f.PlacedAt.Equal(morning) || !f.PaymentDeadline.Equal(morning.Add(15*time.Minute)) {
		t.Errorf("got %+v", f)
	}
	r.Lines[0].Quantity = 9
	if f.Lines[0].Quantity != 2 {
		t.Error("the fact shares its lines with the request")
	}
}

func TestEveryLimitNamesItsField(t *testing.T) {
	line := Line{SKU: "TEA-250", Name: "Green tea", Quantity: 1, UnitPrice: 100}
	for _, tc := range []struct {
		name  string
		spoil func(*Request)
		want  string // field and the start of the rule; empty: taken
	}{
		{"customer missing", func(r *Request) { r.CustomerID = "" }, "/customer_id: must be 1 to 64 letters"},
		{"customer with a space", func(r *Request) { r.CustomerID = "c 1" }, "/customer_id: "},
		{"customer with NUL", func(r *Request) { r.CustomerID = "c\x001" }, "/customer_id: "},
		{"customer at the limit", func(r *Request) { r.CustomerID = strings.Repeat("c", 64) }, ""},
		{"customer too long", func(r *Request) { r.CustomerID = strings.Repeat("c", 65) }, "/customer_id: "},
		{"email missing", func(r *Request) { r.Email = "" }, "/email: "},
		{"email with a name", func(r *Request) { r.Email = "Ada<ada@example.com>" }, "/email: must be one mail address"},
		{"two emails", func(r *Request) { r.Email = "a@example.com,b@example.com" }, "/email: must be one"},
		{"email with a header", func(r *Request) { r.Email = "a@example.com\r\nBcc: b@example.com" }, "/email: "},
		{"email too long", func(r *Request) { r.Email = strings.Repeat("a", 250) + "@x.org" }, "/email: "},
		{"local part too long", func(r *Request) { r.Email = strings.Repeat("a", 65) + "@x.org" }, "/email: must have at most 64 characters before the @"},
		{"email outside ASCII", func(r *Request) { r.Email = "ädä@example.com" }, "/email: "},
		{"currency unknown", func(r *Request) { r.Currency = "USD" }, "/currency: must be one of EUR, JPY"},
		{"currency in small letters", func(r *Request) { r.Currency = "eur" }, "/currency: "},
		{"a card number", func(r *Request) { r.PaymentMethod = "4242424242424242" }, "/payment_method: must be a payment method token"},
		{"a card number behind a line", func(r *Request) { r.PaymentMethod = "pm_x\n4242" }, "/payment_method: "},
		{"method without a name", func(r *Request) { r.PaymentMethod = "pm_" }, "/payment_method: "},
		{"method too long", func(r *Request) { r.PaymentMethod = "pm_" + strings.Repeat("x", 253) }, "/payment_method: "},
		{"no lines", func(r *Request) { r.Lines = nil }, "/lines: must hold 1 to 100 lines, holds 0"},
		{"100 lines", func(r *Request) { r.Lines = slices.Repeat([]Line{line}, 100) }, ""},
		{"101 lines", func(r *Request) { r.Lines = slices.Repeat([]Line{line}, 101) }, "/lines: must hold 1 to 100"},
		{"sku missing", func(r *Request) { r.Lines[0].SKU = "" }, "/lines/0/sku: "},
		{"sku too long", func(r *Request) { r.Lines[0].SKU = strings.Repeat("S", 65) }, "/lines/0/sku: "},
		{"name blank", func(r *Request) { r.Lines[0].Name = "  " }, "/lines/0/name: must be 1 to 200"},
		{"name at the limit in characters", func(r *Request) { r.Lines[0].Name = strings.Repeat("ä", 200) }, ""},
		{"name too long", func(r *Request) { r.Lines[0].Name = strings.Repeat("ä", 201) }, "/lines/0/name: "},
		{"name with control characters", func(r *Request) { r.Lines[0].Name = "tea\x1b[2J" }, "/lines/0/name: must not contain control"},
		{"name that is no UTF-8", func(r *Request) { r.Lines[0].Name = "tea\xff" }, "/lines/0/name: must be valid UTF-8"},
		{"quantity 0", func(r *Request) { r.Lines[0].Quantity = 0 }, "/lines/0/quantity: must be 1 to 10000, is 0"},
		{"quantity 10,000", func(r *Request) { r.Lines[0] = Line{"S", "n", 10_000, 1} }, ""},
		{"quantity 10,001", func(r *Request) { r.Lines[0].Quantity = 10_001 }, "/lines/0/quantity: "},
		{"price below 0", func(r *Request) { r.Lines[0].UnitPrice = -1 }, "/lines/0/unit_price: must be 0 to 99999999"},
		{"second line", func(r *Request) { r.Lines = append(r.Lines, Line{"S", "n", 1, -1}) }, "/lines/1/unit_price: "},
		{"total 0", func(r *Request) { r.Lines[0].UnitPrice = 0 }, "/lines: the total must be 1 to 99999999 minor units, is 0"},
		{"total at the limit", func(r *Request) { r.Lines[0] = Line{"S", "n", 1, 99_999_999} }, ""},
		{"total above", func(r *Request) { r.Lines = append(r.Lines, Line{"S", "n", 1, 99_999_999}) }, "/lines: the total must be"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := request()
			tc.spoil(&r)
			_, err := Place(r, taken, 15*time.Minute, morning)
			switch {
			case tc.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tc.want != "" && (fault.ClassOf(err) != fault.Invalid || strings.Contains(err.Error(), "\n") ||
				!strings.HasPrefix(err.Error(), tc.want)):
				t.Errorf("got %v, want only %q", err, tc.want)
			}
		})
	}
}

func TestAllViolationsAreTold(t *testing.T) {
	_, err := Place(Request{}, taken, 15*time.Minute, morning)
	if fault.ClassOf(err) != fault.Invalid || strings.Count(err.Error(), "\n") != 4 {
		t.Errorf("got %v", err)
	}
}

// TestHashIsTheOneInTheLog: orders in the log carry the hash; if its form changes, every retry over a release is refused.
func TestHashIsTheOneInTheLog(t *testing.T) {
	const want = "466889fa2c3623fc8ecb67c2f27965e9bd234694d4cc783864bccac62eebffdf"
	if got := hex.EncodeToString(request().Hash()); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestHashTellsRequestsApart(t *testing.T) {
	seen := map[string]string{string(request().Hash()): "the request itself"}
	for name, change := range map[string]func(*Request){
		"customer": func(r *Request) { r.CustomerID = "c-1002" },
		"email":    func(r *Request) { r.Email = "eve@example.com" },
		"currency": func(r *Request) { r.Currency = "JPY" },
		"method":   func(r *Request) { r.PaymentMethod = "pm_x" },
		"sku":      func(r *Request) { r.Lines[0].SKU = "TEA-500" },
		"name":     func(r *Request) { r.Lines[0].Name = "Tea" },
		"quantity": func(r *Request) { r.Lines[0].Quantity = 3 },
		"price":    func(r *Request) { r.Lines[0].UnitPrice = 1 },
		"lines":    func(r *Request) { r.Lines = append(r.Lines, r.Lines[0]) },
	} {
		r := request()
		change(&r)
		h := string(r.Hash())
		if seen[h] != "" {
			t.Errorf("another %s has the hash of %s", name, seen[h])
		}
		seen[h] = name
	}
}
