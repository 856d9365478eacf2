package domain

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/troupe-dev/troupe/pkg/fault"
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

// Place makes the first fact of an order, which waits for its payment as long as paymentWithin. The error names each field that
// breaks a rule, by its JSON pointer; currencies are those that are taken, ISO 4217.
func Place(r Request, currencies []string, paymentWithin time.Duration, now time.Time) (OrderPlaced, error) {
	total, wrong := lines(r.Lines)
	err := errors.Join(
		fault.FieldIf(len(r.CustomerID) > MaxCustomerID || !identifier.MatchString(r.CustomerID), "/customer_id",
			"must be 1 to %d letters, digits, dots, hyphens and underscores", MaxCustomerID),
		email("/email", r.Email),
		fault.FieldIf(!slices.Contains(currencies, r.Currency), "/currency", "must be one of %s", strings.Join(currencies, ", ")),
		fault.FieldIf(len(r.PaymentMethod) > MaxMethod || !method.MatchString(r.PaymentMethod), "/payment_method",
			"must be a payment method token of at most %d characters that matches %s", MaxMethod, method),
		wrong)
	if err != nil {
		return OrderPlaced{}, err
	}
	r.Lines = slices.Clone(r.Lines)
	return OrderPlaced{Request: r, Total: total, PlacedAt: now, PaymentDeadline: now.Add(paymentWithin), BodyHash: r.Hash()}, nil
}

// lines checks every line and returns the total, which cannot overflow when each line keeps its limits.
func lines(lines []Line) (total int64, err error) {
	if len(lines) < 1 || len(lines) > MaxLines {
		return 0, fault.Field("/lines", "must hold 1 to %d lines, holds %d", MaxLines, len(lines))
	}
	for i, l := range lines {
		at := fmt.Sprintf("/lines/%d/", i)
		err = errors.Join(err, text(at+"sku", l.SKU, MaxSKU), text(at+"name", l.Name, MaxName),
			fault.FieldIf(l.Quantity < 1 || l.Quantity > MaxQuantity, at+"quantity", "must be 1 to %d, is %d", MaxQuantity, l.Quantity),
			fault.FieldIf(l.UnitPrice < 0 || l.UnitPrice > MaxTotal, at+"unit_price",
				"must be 0 to %d minor units, is %d", MaxTotal, l.UnitPrice))
		total += int64(l.Quantity) * l.UnitPrice
	}
	if err == nil && (total < 1 || total > MaxTotal) {
		err = fault.Field("/lines", "the total must be 1 to %d minor units, is %d", MaxTotal, total)
	}
	return total, err
}

var (
	identifier = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)
	// The token of a payment method; a card number never matches.
	method = regexp.MustCompile(`^pm_[A-Za-z0-9_]+$`)
)

func text(field, s string, most int) error {
	n := utf8.RuneCountInString(s)
	return cmp.Or(
		fault.FieldIf(!utf8.ValidString(s), field, "must be valid UTF-8"),
		fault.FieldIf(n > most || strings.TrimSpace(s) == "", field, "must be 1 to %d characters and not blank", most),
		fault.FieldIf(strings.ContainsFunc(s, unicode.IsControl), field, "must not contain control characters"),
	)
}

// email takes an address that can stand in a mail header and an SMTP command as it is: ASCII, nothing around it.
func email(field, s string) error {
	a, err := mail.ParseAddress(s)
	bare := err == nil && a.Address == s && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
	before := strings.LastIndexByte(s, '@')
	return cmp.Or(
		fault.FieldIf(len(s) > MaxEmail, field, "must be at most %d characters", MaxEmail),
		fault.FieldIf(!bare, field, "must be one mail address in ASCII such as ada@example.com"),
		fault.FieldIf(before > MaxEmailLocal, field, "must have at most %d characters before the @", MaxEmailLocal),
	)
}
