package cli

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/go-chi/chi/v5"
	"github.com/troupe-dev/troupe/pkg/contract"
	"github.com/troupe-dev/troupe/pkg/problem"
)

func TestMain(m *testing.M) {
	time.Local = time.UTC // times in what is compared
	os.Exit(m.Run())
}

// console is an operators' door that says what it is told to say. It holds what it is asked, and what it says, to the contract.
type console struct {
	t       *testing.T
	url     string
	answers map[string]func(r *http.Request) (status int, body string)

	mu    sync.Mutex
	asked []string // method, URI, preference and body of each request
}

func loadContract(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile("../../../../schemas/openapi/console.yaml")
	if err != nil {
		t.Fatal(err)
	}
	doc.Servers = nil
	return doc
}

// serve answers by "METHOD /path/of/the/contract"; what is not there is a 404 that no test expects.
func serve(t *testing.T, answers map[string]func(*http.Request) (int, string)) *console {
	t.Helper()
	c := &console{t: t, answers: answers}
	requests, err := contract.New(func() (*openapi3.T, error) { return loadContract(t), nil }, contract.Config{MaxBody: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	doc := loadContract(t)
	r := chi.NewRouter()
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			h := c.handle(method+" "+path, &routers.Route{Spec: doc, Path: path, PathItem: item, Method: method, Operation: op})
			r.With(c.note, requests.Check).Method(method, path, h)
		}
	}
	srv := httptest.NewServer(r)
	t.Cleanup(srv.Close)
	c.url = srv.URL
	return c
}

func (c *console) note(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		asked := r.Method + " " + strings.TrimPrefix(r.URL.RequestURI(), "/api/dead-letters")
		if p := r.Header.Get("Prefer"); p != "" {
			asked += " " + p
		}
		if len(body) > 0 {
			asked += " " + string(body)
		}
		c.mu.Lock()
		c.asked = append(c.asked, asked)
		c.mu.Unlock()
		next.ServeHTTP(w, r)
	})
}

func (c *console) handle(name string, route *routers.Route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		answer := c.answers[name]
		if answer == nil {
			c.t.Errorf("%s was asked for and is not expected", name)
			http.NotFound(w, r)
			return
		}
		status, body := answer(r)
		header := http.Header{"Content-Type": {"application/json"}}
		if status >= 400 {
			header.Set("Content-Type", problem.ContentType)
		}
		if status == 503 {
			header.Set("Retry-After", "7")
		}
		in := &openapi3filter.RequestValidationInput{Request: r, Route: route}
		out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: status, Header: header,
			Body: io.NopCloser(strings.NewReader(body))}
		if err := openapi3filter.ValidateResponse(r.Context(), out); err != nil {
			c.t.Errorf("the fake's answer to %s breaks the contract: %v", name, err)
		}
		for k, v := range header {
			w.Header()[k] = v
		}
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

// says answers always the same.
func says(status int, body string) func(*http.Request) (int, string) {
	return func(*http.Request) (int, string) { return status, body }
}

// run runs a command against the door.
func (c *console) run(in string, args ...string) (code int, out, errs string) {
	c.t.Helper()
	var o, e bytes.Buffer
	code = execute(c.t.Context(), args, strings.NewReader(in), &o, &e)
	return code, o.String(), e.String()
}
