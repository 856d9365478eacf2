package httpapi

import (
	"bytes"
	"errors"
	"fmt"
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
	"github.com/troupe-dev/troupe/pkg/problem"
)

// maxBody bounds a request's body, in bytes.
const maxBody = 64 << 10

// contract holds requests against the OpenAPI document.
type contract struct{ doc *openapi3.T }

func loadContract() (*contract, error) {
	doc, err := GetSpec()
	if err != nil {
		return nil, fault.New(fault.Permanent, "the built-in OpenAPI document: %w", err)
	}
	// For a 3.1 document the validator compiles each schema anew for each request. Ours use no keyword that 3.0 lacks, so the
	// validator may take them for such; TestContractMeansTheSameAs30 holds us to it.
	doc.OpenAPI = "3.0.3"
	return &contract{doc}, nil
}

// middleware lets only requests through that keep the contract. It belongs on routes, where chi knows the pattern: patterns are
// the paths of the document.
func (c *contract) middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := c.check(w, r); err != nil {
			problem.Write(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (c *contract) check(w http.ResponseWriter, r *http.Request) error {
	pattern := chi.RouteContext(r.Context()).RoutePattern()
	item := c.doc.Paths.Value(pattern)
	if item == nil || item.GetOperation(r.Method) == nil {
		return fault.New(fault.Permanent, "%s %s is served and not in the contract", r.Method, pattern)
	}
	op := item.GetOperation(r.Method)
	if op.RequestBody != nil {
		if err := readBody(w, r); err != nil {
			return err
		}
	}
	params := map[string]string{}
	for i, key := range chi.RouteContext(r.Context()).URLParams.Keys {
		params[key] = chi.RouteContext(r.Context()).URLParams.Values[i]
	}
	return explain(openapi3filter.ValidateRequest(r.Context(), &openapi3filter.RequestValidationInput{
		Request:    r,
		PathParams: params,
		Route:      &routers.Route{Spec: c.doc, Path: pattern, PathItem: item, Method: r.Method, Operation: op},
		Options:    &openapi3filter.Options{MultiError: true, SkipSettingDefaults: true},
	}))
}

// readBody reads the whole body and refuses what is not one plain JSON value. It puts the body back for those who follow.
func readBody(w http.ResponseWriter, r *http.Request) error {
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset := params["charset"]
	if err != nil || media != "application/json" || charset != "" && !strings.EqualFold(charset, "utf-8") || r.Header.Get("Content-Encoding") != "" {
		return problem.New(http.StatusUnsupportedMediaType, "unsupported-media-type", "Unsupported media type",
			"the body must be application/json in UTF-8, without a content encoding",
			problem.Field{Field: "Content-Type", Detail: "must be application/json"})
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return err
	}
	if err != nil {
		return fault.Field("body", "did not arrive whole")
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return checkJSON(body)
}

// explain turns the validator's errors into one error for each field at fault.
func explain(err error) error {
	if err == nil {
		return nil
	}
	var c complaints
	c.collect(err)
	return errors.Join(c.errs...)
}

// complaints holds one error per field: the first.
type complaints struct {
	errs []error
	told map[string]bool
}

func (c *complaints) add(field, rule string) {
	if c.told == nil {
		c.told = map[string]bool{}
	}
	if !c.told[field] {
		c.told[field] = true
		c.errs = append(c.errs, fault.Field(field, "%s", rule))
	}
}

func (c *complaints) collect(err error) {
	switch e := err.(type) { //nolint:errorlint // the validator's own tree, walked node by node
	case openapi3.MultiError:
		for _, x := range e {
			c.collect(x)
		}
		return
	case *openapi3filter.RequestError:
		if e.Parameter != nil {
			c.add(e.Parameter.Name, parameterRule(e))
			return
		}
		if e.Err != nil {
			c.collect(e.Err)
			return
		}
	case *openapi3.SchemaError:
		if e.SchemaField == "properties" {
			c.unknown(e)
			return
		}
		c.add(pointer(e.JSONPointer()), rule(e))
		return
	}
	c.add("body", "cannot be held against the contract")
}

// unknown names the fields that an object has and its schema does not: the validator's error is about the object.
func (c *complaints) unknown(e *openapi3.SchemaError) {
	object, _ := e.Value.(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if e.Schema.Properties[name] == nil {
			c.add(pointer(append(e.JSONPointer(), name)), "is not a known field")
		}
	}
}

func parameterRule(e *openapi3filter.RequestError) string {
	s := e.Parameter.Schema.Value
	if e.Parameter.Name == "Idempotency-Key" && s.MaxLength != nil {
		return fmt.Sprintf("is required: %d to %d visible ASCII characters without spaces", s.MinLength, *s.MaxLength)
	}
	return "must match " + s.Pattern
}

// rule says what a value must be, by the keyword that it breaks; it never repeats the value.
func rule(e *openapi3.SchemaError) string {
	s := e.Schema
	switch e.SchemaField {
	case "required":
		return "is required"
	case "nullable":
		return "must not be null"
	case "type":
		return "must be " + article(s.Type.Slice())
	case "format":
		return "must fit into " + strings.TrimPrefix(s.Format, "int") + " bits"
	case "minimum":
		return fmt.Sprintf("must be at least %.0f", *s.Min)
	case "maximum":
		return fmt.Sprintf("must be at most %.0f", *s.Max)
	case "minLength":
		return fmt.Sprintf("must have at least %d characters", s.MinLength)
	case "maxLength":
		return fmt.Sprintf("must have at most %d characters", *s.MaxLength)
	case "minItems":
		return fmt.Sprintf("must hold at least %d", s.MinItems)
	case "maxItems":
		return fmt.Sprintf("must hold at most %d", *s.MaxItems)
	case "pattern":
		return "must match " + s.Pattern
	}
	return "breaks the rule " + e.SchemaField
}

func article(types []string) string {
	name := strings.Join(types, " or ")
	if strings.HasPrefix(name, "a") || strings.HasPrefix(name, "i") || strings.HasPrefix(name, "o") {
		return "an " + name
	}
	return "a " + name
}
