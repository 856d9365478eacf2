package contract

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/go-chi/chi/v5"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/problem"
)

// Contract holds requests against an OpenAPI document.
type Contract struct {
	doc *openapi3.T // its paths are the patterns of chi's routes
	cfg Config
}

// Config of a contract.
type Config struct {
	// MaxBody bounds a request's body, in bytes. Default 64 KiB. The whole body is held in memory, and some three times
	// that while it is checked.
	MaxBody int64
	// Rules are own words for what a parameter must be, by its name, where the document's keywords do not say it well.
	Rules map[string]string
}

// New returns the contract of a document, such as the GetSpec that is generated from it. The error is Permanent: the
// document cannot be read.
func New(spec func() (*openapi3.T, error), cfg Config) (*Contract, error) {
	doc, err := spec()
	if err != nil {
		return nil, fault.New(fault.Permanent, "the built-in OpenAPI document: %w", err)
	}
	cfg.MaxBody = cmp.Or(cfg.MaxBody, 64<<10)
	// For a 3.1 document the validator compiles each schema anew for each request. What comes in uses no keyword that
	// means something else in 3.0 (a test of schemas/openapi sees to that), so the validator may take the document for
	// such.
	doc.OpenAPI = "3.0.3"
	return &Contract{doc, cfg}, nil
}

// Check lets only requests through that keep the contract. It belongs on routes, where chi knows the pattern: patterns
// are the paths of the document.
func (c *Contract) Check(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := c.check(w, r); err != nil {
			problem.Write(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// check returns all that is wrong with a request.
func (c *Contract) check(w http.ResponseWriter, r *http.Request) error {
	route := chi.RouteContext(r.Context())
	pattern := route.RoutePattern()
	item := c.doc.Paths.Value(pattern)
	method := route.RouteMethod // HEAD is routed as GET
	if item == nil || item.GetOperation(method) == nil {
		return fault.New(fault.Permanent, "%s %s is served and not in the contract", method, pattern)
	}
	op := item.GetOperation(method)
	// First the body as a whole, which the validator and the generated code must read alike; then all fields together, so
	// that a caller learns of all of them at once.
	if op.RequestBody != nil {
		if err := c.readBody(w, r); err != nil {
			return err
		}
	}
	path := map[string]string{}
	for _, key := range route.URLParams.Keys {
		path[key] = httpdoor.Param(r, key)
	}
	return errors.Join(strict(r, slices.Concat(item.Parameters, op.Parameters)),
		explain(openapi3filter.ValidateRequest(r.Context(), &openapi3filter.RequestValidationInput{
			Request:    r,
			PathParams: path,
			Route:      &routers.Route{Spec: c.doc, Path: pattern, PathItem: item, Method: method, Operation: op},
			// Defaults are the generated code's to set: the validator would write the request anew for them.
			Options: &openapi3filter.Options{
				MultiError: true, SkipSettingDefaults: true,
				AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, // a guard stands before it
			},
		}), c.cfg.Rules))
}

// strict refuses query parameters that the operation does not have (a misspelt filter must not answer with everything),
// and whatever is given twice. Only Prefer may come in several lines, which count as one (RFC 7240).
func strict(r *http.Request, parameters openapi3.Parameters) error {
	var errs []error
	query := r.URL.Query()
	for _, name := range slices.Sorted(maps.Keys(query)) {
		switch {
		case parameters.GetByInAndName(openapi3.ParameterInQuery, name) == nil:
			errs = append(errs, fault.Field(name, "is not a known parameter"))
		case len(query[name]) > 1:
			errs = append(errs, fault.Field(name, "must be given once"))
		}
	}
	if lines := r.Header.Values("Prefer"); len(lines) > 1 {
		r.Header.Set("Prefer", strings.Join(lines, ", "))
	}
	for _, p := range parameters {
		if p.Value.In == openapi3.ParameterInHeader && len(r.Header.Values(p.Value.Name)) > 1 {
			errs = append(errs, fault.Field(p.Value.Name, "must be given once"))
		}
	}
	return errors.Join(errs...)
}

// readBody reads the whole body and refuses what is not one plain JSON value. It puts the body back for those who
// follow.
func (c *Contract) readBody(w http.ResponseWriter, r *http.Request) error {
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset := params["charset"]
	if err != nil || media != "application/json" || charset != "" && !strings.EqualFold(charset, "utf-8") ||
		r.Header.Get("Content-Encoding") != "" {
		return problem.New(http.StatusUnsupportedMediaType, "unsupported-media-type", "Unsupported media type",
			"the body must be application/json in UTF-8, without a content encoding",
			problem.Field{Field: "Content-Type", Detail: "must be application/json"})
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, c.cfg.MaxBody))
	_, tooLarge := errors.AsType[*http.MaxBytesError](err)
	_, tooLate := errors.AsType[*problem.Problem](err)
	switch {
	case tooLarge, tooLate:
		return err
	case err != nil:
		return fault.Field("body", "did not arrive whole")
	}
	if body, err = plainJSON(body); err != nil {
		return err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}
