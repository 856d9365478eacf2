package contract_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-chi/chi/v5"
	"github.com/troupe-dev/troupe/pkg/contract"
	"github.com/troupe-dev/troupe/pkg/problem"
)

const document = `
openapi: 3.1.0
info: { title: test, version: 1.0.0 }
paths:
  /things/{id}:
    parameters:
      - { name: id, in: path, required: true, schema: { type: string, maxLength: 4, pattern: '^[a-z]*$' } }
    get:
      parameters:
        - { name: size, in: query, schema: { type: integer, format: int32, minimum: 0, maximum: 9 } }
        - { name: colour, in: query, schema: { type: string, enum: [red, blue] } }
        - { name: Prefer, in: header, schema: { type: string, maxLength: 99 } }
        - { name: X-Key, in: header, schema: { type: string, minLength: 3 } }
      responses: { '200': { description: found } }
    put:
      requestBody:
        required: true
        content:
          application/json:
            schema:
              type: object
              additionalProperties: false
              required: [name]
              properties:
                name: { type: string, minLength: 1 }
                any: { description: whatever }
                count: { type: integer, format: int64, maximum: 200 }
                tags: { type: array, maxItems: 2, items: { type: string } }
      responses: { '200': { description: put } }
`

func load() (*openapi3.T, error) { return openapi3.NewLoader().LoadFromData([]byte(document)) }

func door(t *testing.T) http.Handler {
	t.Helper()
	c, err := contract.New(load, contract.Config{MaxBody: 200, Rules: map[string]string{"X-Key": "is a secret"}})
	if err != nil {
		t.Fatal(err)
	}
	echo := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("colour") == "red" {
			panic("red")
		}
		_, _ = io.Copy(w, io.MultiReader(strings.NewReader(r.Header.Get("Prefer")), r.Body))
	}
	return c.Router(func(r chi.Router) {
		r.Get("/things/{id}", echo)
		r.Put("/things/{id}", echo)
		r.Delete("/things/{id}", echo)
	}, func(r chi.Router) { r.Get("/health", echo) })
}

func TestRequestsAreHeldAgainstTheContract(t *testing.T) {
	h := door(t)
	for _, c := range []struct {
		request, body string
		headers       []string // name: value
		status        int
		want          string // field: rule, or the body of a good answer
	}{
		{"GET /things/a", "", nil, 200, ""},
		{"GET /things/a?size=9&colour=blue", "", []string{"Prefer: wait=1", "Prefer: strict"}, 200, "wait=1, strict"},
		{"GET /health?anything=1", "", nil, 200, ""},
		{"GET /things/abcde", "", nil, 400, "id: must have at most 4 characters"},
		{"GET /things/A", "", nil, 400, "id: must match ^[a-z]*$"},
		{"GET /things/a?size=10", "", nil, 400, "size: must be at most 9"},
		{"GET /things/a?size=x", "", nil, 400, "size: must be an integer"},
		{"GET /things/a?colour=green", "", nil, 400, "colour: must be one of red blue"},
		{"GET /things/a?color=red", "", nil, 400, "color: is not a known parameter"},
		{"GET /things/a?size=1&size=2", "", nil, 400, "size: must be given once"},
		{"GET /things/a", "", []string{"X-Key: abc", "X-Key: def"}, 400, "X-Key: must be given once"},
		{"GET /things/a", "", []string{"X-Key: ab"}, 400, "X-Key: is a secret"},
		{"GET /things/a?colour=red", "", nil, 500, ""},
		{"POST /things/a", "", nil, 405, ""},
		{"GET /nothing", "", nil, 404, ""},
		{"DELETE /things/a", "", nil, 500, ""}, // served and not in the contract
		{"PUT /things/a", `{"name":"n","any":{"x":[1]},"tags":["a"]}`, nil, 200, `{"name":"n","any":{"x":[1]},"tags":["a"]}`},
		{"PUT /things/a", `{"name":"n","nick":"x"}`, nil, 400, "/nick: is not a known field"},
		{"PUT /things/a", `{"name":"n","tags":["a",1]}`, nil, 400, "/tags/1: must be a string"},
		{"PUT /things/a", `{"name":"n","tags":["a","b","c"]}`, nil, 400, "/tags: must hold at most 2"},
		{"PUT /things/a", `{"name":"n","name":"m"}`, nil, 400, "/name: must not be given twice"},
		{"PUT /things/a", `{}`, nil, 400, "/name: is required"},
		{"PUT /things/a", `{"name":"1.0","count":155.0,"any":[1.5,1e2]}`, nil, 200, `{"name":"1.0","count":155,"any":[1.5,100]}`},
		{"PUT /things/a", `{"name":"n","count":1.55e2 }`, nil, 200, `{"name":"n","count":155 }`},
		{"PUT /things/a", `{"name":"n","count":-0.0}`, nil, 200, `{"name":"n","count":0}`},
		{"PUT /things/a", `{"name":"n","count":155.5}`, nil, 400, "/count: must be an integer"},
		{"PUT /things/a", `{"name":"n","count":1e3}`, nil, 400, "/count: must be at most 200"},
		{"PUT /things/a", `{"name":"n","count":1e999999999}`, nil, 400, "/count: must be a number of at most 400 digits"},
		{"PUT /things/a", `{"name":"n","count":null}`, nil, 400, "/count: must not be null"},
		{"PUT /things/%61", `{"name":"n"}`, nil, 200, `{"name":"n"}`},
		{"GET /things/%41", "", nil, 400, "id: must match ^[a-z]*$"},
		{"GET /things/%25zz", "", nil, 400, "id: must match ^[a-z]*$"},
		{"PUT /things/a", `{"name":"n"}`, []string{"Content-Type: text/plain"}, 415, "Content-Type: must be application/json"},
		{"PUT /things/a", `{"name":"` + strings.Repeat("n", 200) + `"}`, nil, 413, ""},
	} {
		method, path, _ := strings.Cut(c.request, " ")
		r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(c.body))
		r.Header.Set("Content-Type", "application/json")
		for _, line := range c.headers {
			name, value, _ := strings.Cut(line, ": ")
			if name == "Content-Type" {
				r.Header.Del(name)
			}
			r.Header.Add(name, value)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		got := w.Body.String()
		if w.Code >= 400 {
			var p problem.Problem
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Status != w.Code {
				t.Errorf("%s %s: no problem document: %s", c.request, c.body, w.Body)
			}
			var fields []string
			for _, f := range p.Errors {
				fields = append(fields, f.Field+": "+f.Detail)
			}
			got = strings.Join(fields, "; ")
		}
		if w.Code != c.status || got != c.want {
			t.Errorf("%s %s: %d %q, want %d %q", c.request, c.body, w.Code, got, c.status, c.want)
		}
	}
}
