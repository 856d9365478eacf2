package httpapi

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/go-chi/chi/v5"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/problem"
)

// contract holds requests against the OpenAPI document.
type contract struct{ doc *openapi3.T }

func loadContract() (*contract, error) {
	doc, err := GetSpec()
	if err != nil {
		return nil, fault.New(fault.Permanent, "the built-in OpenAPI document: %w", err)
	}
	// For a 3.1 document the validator compiles each schema anew for each request. The parameters here use no keyword that 3.0
	// lacks, so the validator may take them for such; TestContractMeansTheSameAs30 holds us to it.
	doc.OpenAPI = "3.0.3"
	return &contract{doc}, nil
}

// middleware lets only requests through that keep the contract. It belongs on routes, where chi knows the pattern: patterns are
// the paths of the document.
func (c *contract) middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := c.check(r); err != nil {
			problem.Write(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (c *contract) check(r *http.Request) error {
	route := chi.RouteContext(r.Context())
	pattern := route.RoutePattern()
	item := c.doc.Paths.Value(pattern)
	if item == nil || item.GetOperation(r.Method) == nil {
		return fault.New(fault.Permanent, "%s %s is served and not in the contract", r.Method, pattern)
	}
	op := item.GetOperation(r.Method)
	path := map[string]string{}
	for i, key := range route.URLParams.Keys {
		path[key] = route.URLParams.Values[i]
	}
	return errors.Join(strict(r, op), explain(openapi3filter.ValidateRequest(r.Context(), &openapi3filter.RequestValidationInput{
		Request:    r,
		PathParams: path,
		Route:      &routers.Route{Spec: c.doc, Path: pattern, PathItem: item, Method: r.Method, Operation: op},
		Options:    &openapi3filter.Options{MultiError: true, SkipSettingDefaults: true},
	})))
}

// strict refuses query parameters that the operation does not have (a misspelt filter must not answer with everything), and
// whatever is given twice. Only Prefer may come in several lines, which count as one (RFC 7240).
func strict(r *http.Request, op *openapi3.Operation) error {
	var errs []error
	query := r.URL.Query()
	for _, name := range slices.Sorted(maps.Keys(query)) {
		switch {
		case op.Parameters.GetByInAndName(openapi3.ParameterInQuery, name) == nil:
			errs = append(errs, fault.Field(name, "is not a known parameter"))
		case len(query[name]) > 1:
			errs = append(errs, fault.Field(name, "must be given once"))
		}
	}
	if lines := r.Header.Values("Prefer"); len(lines) > 1 {
		r.Header.Set("Prefer", strings.Join(lines, ", "))
	}
	for _, p := range op.Parameters {
		if p.Value.In == openapi3.ParameterInHeader && len(r.Header.Values(p.Value.Name)) > 1 {
			errs = append(errs, fault.Field(p.Value.Name, "must be given once"))
		}
	}
	return errors.Join(errs...)
}

// explain turns the validator's errors into one error for each parameter at fault.
func explain(err error) error {
	switch e := err.(type) { //nolint:errorlint // the validator's own tree, walked node by node
	case nil:
		return nil
	case openapi3.MultiError:
		var errs []error
		for _, x := range e {
			errs = append(errs, explain(x))
		}
		return errors.Join(errs...)
	case *openapi3filter.RequestError:
		if e.Parameter != nil {
			return fault.Field(e.Parameter.Name, "%s", rule(e))
		}
	}
	return fault.As(fault.Invalid, err)
}

// rule says what a parameter must be, by the keyword that it breaks; it never repeats the value.
func rule(e *openapi3filter.RequestError) string {
	s := e.Parameter.Schema.Value
	broken, ok := errors.AsType[*openapi3.SchemaError](e.Err)
	if !ok {
		return "must be " + article(s.Type)
	}
	switch broken.SchemaField {
	case "minimum":
		return fmt.Sprintf("must be at least %.0f", *s.Min)
	case "maximum":
		return fmt.Sprintf("must be at most %.0f", *s.Max)
	case "minLength":
		return fmt.Sprintf("must have at least %d characters", s.MinLength)
	case "maxLength":
		return fmt.Sprintf("must have at most %d characters", *s.MaxLength)
	case "pattern":
		return "must match " + s.Pattern
	case "enum":
		return "must be one of " + strings.Trim(fmt.Sprint(s.Enum), "[]")
	case "format":
		return "must fit into " + strings.TrimPrefix(s.Format, "int") + " bits"
	}
	return "must be " + article(s.Type)
}

func article(t *openapi3.Types) string {
	if t.Is("integer") {
		return "an integer"
	}
	return "a " + strings.Join(t.Slice(), " or ")
}
