package domain

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Limits of an order. Lengths are in characters, prices and totals in minor units.
const (
	MaxLines      = 100
	MaxQuantity   = 10_000
	MaxTotal      = 99_999_999
	MaxCustomerID = 64
	MaxEmail      = 254 // RFC 5321, 4.5.3.1.3, less the brackets
	MaxEmailLocal = 64  // before the @: RFC 5321, 4.5.3.1.1
	MaxSKU        = 64
	MaxName       = 200
	MaxMethod     = 255
)

// Request is what a customer asks for.
type Request struct {
	CustomerID    string `json:"customer_id"`
	Email         string `json:"email"`
	Currency      string `json:"currency"`
	PaymentMethod string `json:"payment_method"`
	Lines         []Line `json:"lines"`
}

// Hash identifies the content of a request, however its JSON was written. Every order ever placed carries one: its form must
// never change.
func (r Request) Hash() []byte {
	canonical, err := json.Marshal(r)
	if err != nil {
		panic(fmt.Sprintf("strings and numbers always encode: %v", err))
	}
	sum := sha256.Sum256(canonical)
	return sum[:]
}

// Violation is one rule broken by one field, named by its JSON pointer.
type Violation struct{ Field, Rule string }

// Invalid is the error of a request that breaks rules: all of them.
type Invalid []Violation

func (v Invalid) Error() string {
	lines := make([]string, len(v))
	for i, x := range v {
		lines[i] = x.Field + ": " + x.Rule
	}
	return strings.Join(lines, "; ")
}

// Terms are what an order is placed under.
type Terms struct {
	// Currencies that are taken, ISO 4217.
	Currencies []string
	// PaymentWithin is how long an order waits for its payment.
	PaymentWithin time.Duration
}

// Place makes the first fact of an order, or returns Invalid.
func Place(r Request, t Terms, now time.Time) (OrderPlaced, error) {
	var v Invalid
	if len(r.CustomerID) > MaxCustomerID || !identifier.MatchString(r.CustomerID) {
		v.check("/customer_id", fmt.Sprintf("must be 1 to %d letters, digits, dots, hyphens and underscores", MaxCustomerID))
	}
	v.check("/email", email(r.Email))
	if !slices.Contains(t.Currencies, r.Currency) {
		v.check("/currency", "must be one of "+strings.Join(t.Currencies, ", "))
	}
	if len(r.PaymentMethod) > MaxMethod || !method.MatchString(r.PaymentMethod) {
		v.check("/payment_method", fmt.Sprintf("must be a payment method token of at most %d characters that matches %s", MaxMethod, method))
	}
	total := v.lines(r.Lines)
	if len(v) > 0 {
		return OrderPlaced{}, v
	}
	return OrderPlaced{
		CustomerID: r.CustomerID, Email: r.Email, Currency: r.Currency, PaymentMethod: r.PaymentMethod,
		Lines: slices.Clone(r.Lines), Total: total, PlacedAt: now, PaymentDeadline: now.Add(t.PaymentWithin), BodyHash: r.Hash(),
	}, nil
}

func (v *Invalid) check(field, rule string) {
	if rule != "" {
		*v = append(*v, Violation{field, rule})
	}
}

// lines checks every line and returns the total, which cannot overflow when each line keeps its limits.
func (v *Invalid) lines(lines []Line) (total int64) {
	if len(lines) < 1 || len(lines) > MaxLines {
		v.check("/lines", fmt.Sprintf("must hold 1 to %d lines, holds %d", MaxLines, len(lines)))
		return 0
	}
	before := len(*v)
	for i, l := range lines {
		at := fmt.Sprintf("/lines/%d/", i)
		v.check(at+"sku", text(l.SKU, MaxSKU))
		v.check(at+"name", text(l.Name, MaxName))
		if l.Quantity < 1 || l.Quantity > MaxQuantity {
			v.check(at+"quantity", fmt.Sprintf("must be 1 to %d, is %d", MaxQuantity, l.Quantity))
		}
		if l.UnitPrice < 0 || l.UnitPrice > MaxTotal {
			v.check(at+"unit_price", fmt.Sprintf("must be 0 to %d minor units, is %d", MaxTotal, l.UnitPrice))
		}
		total += int64(l.Quantity) * l.UnitPrice
	}
	if len(*v) == before && (total < 1 || total > MaxTotal) {
		v.check("/lines", fmt.Sprintf("the total must be 1 to %d minor units, is %d", MaxTotal, total))
	}
	return total
}

var (
	identifier = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)
	// The token of a payment method; a card number never matches.
	method = regexp.MustCompile(`^pm_[A-Za-z0-9_]+$`)
)

func text(s string, most int) string {
	switch n := utf8.RuneCountInString(s); {
	case !utf8.ValidString(s):
		return "must be valid UTF-8"
	case n < 1 || n > most || strings.TrimSpace(s) == "":
		return fmt.Sprintf("must be 1 to %d characters and not blank", most)
	case strings.ContainsFunc(s, unicode.IsControl):
		return "must not contain control characters"
	}
	return ""
}

// email takes an address that can stand in a mail header and an SMTP command as it is: ASCII, nothing around it.
func email(s string) string {
	a, err := mail.ParseAddress(s)
	switch {
	case len(s) > MaxEmail:
		return fmt.Sprintf("must be at most %d characters", MaxEmail)
	case err != nil || a.Address != s || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "must be one mail address in ASCII such as ada@example.com"
	case strings.LastIndexByte(s, '@') > MaxEmailLocal:
		return fmt.Sprintf("must have at most %d characters before the @", MaxEmailLocal)
	}
	return ""
}
