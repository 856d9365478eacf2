package httpapi

import (
	"slices"
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/pkg/participant/admission"
	"github.com/troupe-dev/troupe/services/order/internal/domain"
)

// bad are bodies that must be refused, each with the field at fault.
var bad = []struct {
	name, body, field, rule string
	code                    int
}{
	{"empty", "", "body", "is required", 400},
	{"blank", " \n", "body", "is required", 400},
	{"no JSON", "customer_id=c-1001", "body", "must be one JSON object; it cannot be read from byte", 400},
	{"cut off", tea[:60], "body", "cannot be read", 400},
	{"trailing comma", strings.Replace(tea, `1250}]`, `1250},]`, 1), "body", "cannot be read", 400},
	{"single quotes", strings.ReplaceAll(tea, `"`, `'`), "body", "cannot be read", 400},
	{"trailing object", tea + tea, "body", "nothing after it", 400},
	{"trailing brace", tea + "}", "body", "nothing after it", 400},
	{"NaN", strings.Replace(tea, "1250", "NaN", 1), "body", "cannot be read", 400},
	{"an array", "[" + tea + "]", "body", "must be an object", 400},
	{"a string", `"tea"`, "body", "must be an object", 400},
	{"null", "null", "body", "must not be null", 400},
	{"no UTF-8", strings.Replace(tea, "Green", "Gr\xff", 1), "body", "must be valid UTF-8", 400},
	{"a BOM", "\xef\xbb\xbf" + tea, "body", "cannot be read", 400},
	{"half a surrogate pair", strings.Replace(tea, "Green", `\ud800`, 1), "/lines/0/name", "must be valid Unicode", 400},
	{"deep nesting", strings.Repeat("[", 20) + strings.Repeat("]", 20), "body", "must not be nested deeper than 16", 400},
	{"very deep nesting", strings.Repeat(`{"a":`, 12_000), "body", "must not be nested", 400},
	{"key twice", strings.Replace(tea, `"currency"`, `"email":"eve@example.com","currency"`, 1), "/email", "must not be given twice", 400},
	{"key twice inside", strings.Replace(tea, `"quantity":2`, `"quantity":2,"quantity":3`, 1), "/lines/0/quantity", "must not be given twice", 400},
	{"unknown field", strings.Replace(tea, `{`, `{"coupon":"X",`, 1), "/coupon", "is not a known field", 400},
	{"unknown field inside", strings.Replace(tea, `"sku"`, `"colour":"green","sku"`, 1), "/lines/0/colour", "is not a known field", 400},
	{"other case", strings.Replace(tea, `{`, `{"Currency":"EUR",`, 1), "/Currency", "is not a known field", 400},
	{"field with a slash", strings.Replace(tea, `{`, `{"a/b~c":1,`, 1), "/a~1b~0c", "is not a known field", 400},
	{"missing field", strings.Replace(tea, `"currency":"EUR",`, ``, 1), "/currency", "is required", 400},
	{"missing field inside", strings.Replace(tea, `"quantity":2,`, ``, 1), "/lines/0/quantity", "is required", 400},
	{"null field", strings.Replace(tea, `"EUR"`, `null`, 1), "/currency", "must not be null", 400},
	{"number for text", strings.Replace(tea, `"c-1001"`, `1001`, 1), "/customer_id", "must be a string", 400},
	{"text for number", strings.Replace(tea, `1250`, `"1250"`, 1), "/lines/0/unit_price", "must be an integer", 400},
	{"true for number", strings.Replace(tea, `1250`, `true`, 1), "/lines/0/unit_price", "must be an integer", 400},
	{"object for list", order + `{"0":` + line + `}}`, "/lines", "must be an array", 400},
	{"text for a line", strings.Replace(tea, `[{`, `["tea",{`, 1), "/lines/0", "must be an object", 400},
	{"fraction", strings.Replace(tea, `1250`, `12.5`, 1), "/lines/0/unit_price", "must be an integer", 400},
	{"huge exponent", strings.Replace(tea, `1250`, `1e999999`, 1), "/lines/0/unit_price", "must be a number of at most 400 digits", 400},
	{"large exponent", strings.Replace(tea, `1250`, `1e300`, 1), "/lines/0/unit_price", "must fit into 64 bits", 400},
	{"beyond 64 bits", strings.Replace(tea, `1250`, `99999999999999999999`, 1), "/lines/0/unit_price", "must fit into 64 bits", 400},
	{"beyond 32 bits", strings.Replace(tea, `"quantity":2`, `"quantity":4294967298`, 1), "/lines/0/quantity", "must fit into 32 bits", 400},
	{"quantity 10,001", strings.Replace(tea, `"quantity":2`, `"quantity":10001`, 1), "/lines/0/quantity", "must be at most 10000", 400},
	{"price too high", strings.Replace(tea, `1250`, `100000000`, 1), "/lines/0/unit_price", "must be at most 99999999", 400},
	{"quantity 0", strings.Replace(tea, `"quantity":2`, `"quantity":0`, 1), "/lines/0/quantity", "must be at least 1", 400},
	{"quantity -1", strings.Replace(tea, `"quantity":2`, `"quantity":-1`, 1), "/lines/0/quantity", "must be at least 1", 400},
	{"no lines", order + "[]}", "/lines", "must hold at least 1", 400},
	{"101 lines", order + "[" + strings.Repeat(line+",", 100) + line + "]}", "/lines", "must hold at most 100", 400},
	{"customer too long", strings.Replace(tea, "c-1001", strings.Repeat("c", 65), 1), "/customer_id", "must have at most 64", 400},
	{"empty customer", strings.Replace(tea, "c-1001", "", 1), "/customer_id", "must have at least 1", 400},
	{"NUL in a name", strings.Replace(tea, "Green", `Gr\u0000`, 1), "/lines/0/name", "must match", 400},
	{"NUL in the customer", strings.Replace(tea, "c-1001", `c\u0000`, 1), "/customer_id", "must match", 400},
	{"card number", strings.Replace(tea, "pm_card_visa", "4242424242424242", 1), "/payment_method", "must match ^pm_", 400},
	{"no mail address", strings.Replace(tea, "ada@example.com", "ada@", 1), "/email", "must", 400},
	{"mail address for the domain", strings.Replace(tea, "ada@example.com", "ada..b@example.com", 1), "/email", "must be one mail address", 400},
	{"currency not taken", strings.Replace(tea, "EUR", "USD", 1), "/currency", "must be one of EUR", 400},
	{"currency in small letters", strings.Replace(tea, "EUR", "eur", 1), "/currency", "must match", 400},
	{"total 0", strings.Replace(tea, "1250", "0", 1), "/lines", "the total must be 1", 400},
	{"total too high", strings.Replace(tea, "1250", "50000000", 1), "/lines", "the total must be 1 to 99999999", 400},
	{"too large", strings.Replace(tea, "Green", strings.Repeat("G", 64<<10), 1), "", "", 413},
	{"too large with spaces", tea + strings.Repeat(" ", 64<<10), "", "", 413},
}

// order is tea without its lines.
var order, _, _ = strings.Cut(tea, "[")

const line = `{"sku":"S","name":"n","quantity":1,"unit_price":1}`

func newDoor() *fakeDoor { return admits(admission.Decision[domain.Order]{New: true}) }

func TestBadBodiesAreRefusedByField(t *testing.T) {
	for _, tc := range bad {
		t.Run(tc.name, func(t *testing.T) {
			d := newDoor()
			w := do(serve(t, d), "POST", "/orders", tc.body)
			p := read(t, w)
			if w.Code != tc.code || len(d.published)+len(d.asked) > 0 {
				t.Fatalf("status %d, asked %v: %+v", w.Code, d.asked, p)
			}
			if tc.field == "" {
				return
			}
			if len(p.Errors) != 1 || p.Errors[0].Field != tc.field || !strings.Contains(p.Errors[0].Detail, tc.rule) {
				t.Errorf("errors %+v, want %s: %s", p.Errors, tc.field, tc.rule)
			}
		})
	}
}

// An integer is a number without a fraction, however it is written: JSON Schema 2020-12, validation, 6.1.1.
func TestIntegersMayBeWrittenAsNumbers(t *testing.T) {
	for _, price := range []string{"155.0", "1.55e2", "15500e-2"} {
		d := newDoor()
		w := do(serve(t, d), "POST", "/orders", strings.Replace(tea, "1250", price, 1))
		if w.Code != 202 || !strings.Contains(w.Body.String(), `"total":310`) || len(d.published) != 1 {
			t.Errorf("unit_price %s: %d %s", price, w.Code, w.Body)
		}
	}
}

func TestEveryFieldAtFaultIsNamed(t *testing.T) {
	w := do(serve(t, newDoor()), "POST", "/orders", `{"lines":[{"sku":"","quantity":0,"colour":1}]}`, "Idempotency-Key: short")
	var got []string
	for _, e := range read(t, w).Errors {
		got = append(got, e.Field)
	}
	slices.Sort(got)
	want := []string{
		"/currency", "/customer_id", "/email", "/lines/0/colour", "/lines/0/name", "/lines/0/quantity", "/lines/0/sku",
		"/lines/0/unit_price", "/payment_method", "Idempotency-Key",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestHeaders(t *testing.T) {
	for _, tc := range []struct {
		name, header string
		code         int
		field        string
	}{
		{"no key", "Idempotency-Key: ", 400, "Idempotency-Key: is required, and must be 8 to 128 visible ASCII characters without spaces"},
		{"7 characters", "Idempotency-Key: 1234567", 400, "Idempotency-Key: must be 8 to 128 visible ASCII characters without spaces"},
		{"8 characters", "Idempotency-Key: 12345678", 202, ""},
		{"128 characters", "Idempotency-Key: " + strings.Repeat("k", 128), 202, ""},
		{"129 characters", "Idempotency-Key: " + strings.Repeat("k", 129), 400, "Idempotency-Key"},
		{"every visible character", `Idempotency-Key: !"#$%&'()*+,-./09:;<=>?@AZ[\]^_az{|}~`, 202, ""},
		{"a space inside", "Idempotency-Key: 1234 5678", 400, "Idempotency-Key"},
		{"a tab inside", "Idempotency-Key: 1234\t5678", 400, "Idempotency-Key"},
		{"not ASCII", "Idempotency-Key: schlüssel", 400, "Idempotency-Key"},
		{"no content type", "Content-Type: ", 415, "Content-Type"},
		{"text", "Content-Type: text/plain", 415, "Content-Type"},
		{"a form", "Content-Type: application/x-www-form-urlencoded", 415, "Content-Type"},
		{"nonsense", "Content-Type: ;;;", 415, "Content-Type"},
		{"another charset", "Content-Type: application/json; charset=latin1", 415, "Content-Type"},
		{"UTF-8", "Content-Type: application/json; charset=UTF-8", 202, ""},
		{"in capitals", "Content-Type: Application/JSON", 202, ""},
		{"compressed", "Content-Encoding: gzip", 415, "Content-Type"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := newDoor()
			w := do(serve(t, d), "POST", "/orders", tea, tc.header)
			if w.Code != tc.code || (len(d.published) == 1) != (tc.code == 202) {
				t.Fatalf("status %d, published %d: %s", w.Code, len(d.published), w.Body)
			}
			if tc.code == 202 {
				return
			}
			if p := read(t, w); len(p.Errors) != 1 || !strings.HasPrefix(p.Errors[0].Field+": "+p.Errors[0].Detail, tc.field) {
				t.Errorf("errors %+v", p.Errors)
			}
		})
	}
}

func TestKeyGivenTwice(t *testing.T) {
	d := newDoor()
	h := serve(t, d)
	w := doTwice(h)
	if p := read(t, w); w.Code != 400 || len(d.published) > 0 || !strings.Contains(p.Detail, "Idempotency-Key") {
		t.Errorf("%d %+v", w.Code, p)
	}
}

// FuzzPlaceOrder: whatever the body, the answer is a success or a 4xx problem document, and only a success publishes.
func FuzzPlaceOrder(f *testing.F) {
	f.Add([]byte(tea), key)
	for _, tc := range bad {
		if len(tc.body) < 4096 {
			f.Add([]byte(tc.body), key)
		}
	}
	f.Add([]byte(tea), "schlüssel")
	d := newDoor() // one input at a time: the fuzzer's workers are processes
	h := serve(f, d)
	f.Fuzz(func(t *testing.T, body []byte, key string) {
		d.published, d.asked, d.marked = nil, nil, nil
		w := do(h, "POST", "/orders", string(body), "Idempotency-Key: "+key)
		switch {
		case w.Code == 202:
			if len(d.published) != 1 {
				t.Errorf("202 with %d events", len(d.published))
			}
		case w.Code < 400 || w.Code >= 500 || len(d.published) > 0:
			t.Errorf("status %d with %d events: %s", w.Code, len(d.published), w.Body)
		default:
			read(t, w)
		}
	})
}
