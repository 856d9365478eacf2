package openapi_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/google/go-cmp/cmp"
)

const (
	key  = "7f3c9a52-4b1e"
	id   = "0f8fad5b-d9cb-569f-a165-70867728950e"
	line = `{"sku":"TEA-250","name":"Green tea","quantity":2,"unit_price":1250}`
	body = `{"customer_id":"c-1001","email":"ada@example.com","currency":"EUR","payment_method":"pm_card_visa","lines":[` + line + `]}`
)

// validator says which fields of a request the contract of a door refuses, sorted: JSON pointers and names of parameters.
func validator(t *testing.T, file string) func(r *http.Request) []string {
	doc := load(t, file)
	doc.Servers = nil
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return func(r *http.Request) []string {
		t.Helper()
		route, params, err := router.FindRoute(r)
		if err != nil {
			t.Fatalf("%s %s: %v", r.Method, r.URL, err)
		}
		err = openapi3filter.ValidateRequest(t.Context(), &openapi3filter.RequestValidationInput{
			Request: r, PathParams: params, Route: route,
			Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, MultiError: true},
		})
		found := refused(err)
		slices.Sort(found)
		return slices.Compact(found)
	}
}

// refused walks a tree of errors down to the fields at fault; "/" is the body as a whole.
func refused(err error) (found []string) {
	switch e := err.(type) { //nolint:errorlint // walks the tree node by node
	case nil:
	case openapi3.MultiError:
		for _, inner := range e {
			found = append(found, refused(inner)...)
		}
	case *openapi3filter.RequestError:
		if e.Parameter != nil {
			return []string{e.Parameter.Name}
		}
		if e.Err == nil {
			return []string{"/"}
		}
		return refused(e.Err)
	case *openapi3.SchemaError:
		pointer := "/" + strings.Join(e.JSONPointer(), "/")
		if e.SchemaField == "properties" { // an unknown field, which the reason names
			pointer = strings.TrimSuffix(pointer, "/") + "/" + strings.Split(e.Reason, `"`)[1]
		}
		found = append(found, pointer)
	default:
		found = append(found, "/")
	}
	return found
}

func TestPlaceOrderNamesWhatItRefuses(t *testing.T) {
	validate := validator(t, "order.yaml")
	change := func(old, with string) string {
		t.Helper()
		if strings.Count(body, old) != 1 {
			t.Fatalf("%q is not in the body once", old)
		}
		return strings.Replace(body, old, with, 1)
	}
	long := func(n int) string { return strings.Repeat("x", n) }
	for _, tc := range []struct {
		name, body string
		want       []string
	}{
		{"a good order", body, nil},
		{"the longest fields", change(`"TEA-250"`, `"`+long(64)+`"`), nil},
		{"a free line", change("1250", "0"), nil},
		{"a hundred lines", change(line, strings.Repeat(line+",", 99)+line), nil},
		{"nothing", "", []string{"/"}},
		{"no JSON", "{", []string{"/"}},
		{"null", "null", []string{"/"}},
		{"an array", "[]", []string{"/"}},
		{"an empty object", "{}", []string{"/currency", "/customer_id", "/email", "/lines", "/payment_method"}},
		{"an unknown field", change(`"currency"`, `"coupon":1,"currency"`), []string{"/coupon"}},
		{"an unknown field in a line", change(`"sku"`, `"weight":1,"sku"`), []string{"/lines/0/weight"}},
		{"two faults", change(`"quantity":2,"unit_price":1250`, `"quantity":0,"unit_price":-1`), []string{"/lines/0/quantity", "/lines/0/unit_price"}},
		{"an empty customer", change(`"c-1001"`, `""`), []string{"/customer_id"}},
		{"a customer of 65", change(`"c-1001"`, `"`+long(65)+`"`), []string{"/customer_id"}},
		{"a customer with a blank", change("c-1001", "c 1001"), []string{"/customer_id"}},
		{"a customer that is a number", change(`"c-1001"`, "1001"), []string{"/customer_id"}},
		{"a customer that is null", change(`"c-1001"`, "null"), []string{"/customer_id"}},
		{"an address without @", change("ada@example.com", "ada"), []string{"/email"}},
		{"an address with a second header", change("ada@example.com", `ada@example.com\r\nBcc: x@example.com`), []string{"/email"}},
		{"an address of 255", change("ada@example.com", long(251)+"@x.y"), []string{"/email"}},
		{"a currency in lower case", change(`"EUR"`, `"eur"`), []string{"/currency"}},
		{"a card number", change("pm_card_visa", "4242424242424242"), []string{"/payment_method"}},
		{"a method without a name", change("pm_card_visa", "pm_"), []string{"/payment_method"}},
		{"no lines", change(line, ""), []string{"/lines"}},
		{"a hundred and one lines", change(line, strings.Repeat(line+",", 100)+line), []string{"/lines"}},
		{"lines that are none", change("["+line+"]", `"tea"`), []string{"/lines"}},
		{"an article of 65", change("TEA-250", long(65)), []string{"/lines/0/sku"}},
		{"a name with a control character", change("Green tea", `Green\u0000tea`), []string{"/lines/0/name"}},
		{"a name of 201", change("Green tea", long(201)), []string{"/lines/0/name"}},
		{"none of it", change(`"quantity":2`, `"quantity":0`), []string{"/lines/0/quantity"}},
		{"10,001 of it", change(`"quantity":2`, `"quantity":10001`), []string{"/lines/0/quantity"}},
		{"one and a half", change(`"quantity":2`, `"quantity":1.5`), []string{"/lines/0/quantity"}},
		{"a price beyond all", change("1250", "100000000"), []string{"/lines/0/unit_price"}},
		{"a price that is text", change("1250", `"1250"`), []string{"/lines/0/unit_price"}},
		{"a price of fractions", change("1250", "12.50"), []string{"/lines/0/unit_price"}},
		{"a price with no end", change("1250", strings.Repeat("9", 40)), []string{"/lines/0/unit_price"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, validate(post(tc.body, "application/json", key))); diff != "" {
				t.Errorf("refused (-want +got):\n%s", diff)
			}
		})
	}
}

func post(body, contentType string, keys ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/orders", strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	for _, k := range keys {
		r.Header.Add("Idempotency-Key", k)
	}
	return r
}

func TestParametersAreNamedWhenRefused(t *testing.T) {
	order, query := validator(t, "order.yaml"), validator(t, "query.yaml")
	get := func(target string, header ...string) *http.Request {
		r := httptest.NewRequest(http.MethodGet, target, nil)
		if len(header) == 2 {
			r.Header.Set(header[0], header[1])
		}
		return r
	}
	cancel := func(id string) *http.Request {
		return httptest.NewRequest(http.MethodPost, "/orders/"+id+"/cancel", nil)
	}
	for _, tc := range []struct {
		name     string
		validate func(*http.Request) []string
		request  *http.Request
		want     string
	}{
		{"the shortest key", order, post(body, "application/json", "12345678"), ""},
		{"the longest key", order, post(body, "application/json", strings.Repeat("~", 128)), ""},
		{"a content type with a charset", order, post(body, "application/json; charset=utf-8", key), ""},
		{"no key", order, post(body, "application/json"), "Idempotency-Key"},
		{"a key of 7", order, post(body, "application/json", "1234567"), "Idempotency-Key"},
		{"a key of 129", order, post(body, "application/json", strings.Repeat("x", 129)), "Idempotency-Key"},
		{"a key with a blank", order, post(body, "application/json", "1234 5678"), "Idempotency-Key"},
		{"a key beyond ASCII", order, post(body, "application/json", "schlüssel"), "Idempotency-Key"},
		{"another content type", order, post(body, "text/plain", key), "/"},
		{"a cancellation", order, cancel(id), ""},
		{"a cancellation of no id", order, cancel("42"), "id"},
		{"a cancellation in upper case", order, cancel(strings.ToUpper(id)), "id"},
		{"an order", query, get("/orders/"+id+"?until=settled", "Prefer", "wait=5"), ""},
		{"an order of no id", query, get("/orders/'--"), "id"},
		{"until something else", query, get("/orders/" + id + "?until=paid"), "until"},
		{"a token of another alphabet", query, get("/orders/"+id, "Consistency-Token", "a b"), "Consistency-Token"},
		{"a token without end", query, get("/orders/"+id, "Consistency-Token", strings.Repeat("x", 513)), "Consistency-Token"},
		{"a version that is none", query, get("/orders/"+id+"/stream", "Last-Event-ID", "x"), "Last-Event-ID"},
		{"a negative version", query, get("/orders/"+id+"/stream", "Last-Event-ID", "-1"), "Last-Event-ID"},
		{"a list", query, get("/orders?customer_id=c-1001&status=placed&page_size=0&page_token=x"), ""},
		{"a negative page", query, get("/orders?page_size=-1"), "page_size"},
		{"a page of text", query, get("/orders?page_size=all"), "page_size"},
		{"a page size of 33 bits", query, get("/orders?page_size=4294967296"), "page_size"},
		{"no such status", query, get("/orders?status=lost"), "status"},
		{"a customer with a slash", query, get("/orders?customer_id=a/b"), "customer_id"},
		{"a page token that is none", query, get("/orders?page_token=%00"), "page_token"},
		{"too many minutes", query, get("/stats?minutes=61"), "minutes"},
		{"the story", query, get("/orders/" + id + "/events"), ""},
		{"the tail", query, get("/stream"), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var want []string
			if tc.want != "" {
				want = []string{tc.want}
			}
			if diff := cmp.Diff(want, tc.validate(tc.request)); diff != "" {
				t.Errorf("refused (-want +got):\n%s", diff)
			}
		})
	}
}
