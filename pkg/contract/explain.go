package contract

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// explain turns the validator's errors into one error for each field at fault. own are the rules of Config.
func explain(err error, own map[string]string) error {
	if err == nil {
		return nil
	}
	all := complaints{own: own, told: map[string]bool{}}
	all.collect(err)
	return errors.Join(all.errs...)
}

// complaints holds one error per field: the first. A field can break several rules, and one is enough to mend it by.
type complaints struct {
	own  map[string]string // rules of parameters, see Config
	errs []error
	told map[string]bool
}

// add keeps the first rule of a field.
func (c *complaints) add(field, rule string) {
	if !c.told[field] {
		c.told[field] = true
		c.errs = append(c.errs, fault.Field(field, "%s", rule))
	}
}

// collect walks the tree of the validator's errors.
func (c *complaints) collect(err error) {
	switch e := err.(type) { //nolint:errorlint // the validator's own tree, walked node by node
	case openapi3.MultiError:
		for _, x := range e {
			c.collect(x)
		}
		return
	case *openapi3filter.RequestError:
		if e.Parameter != nil {
			c.add(e.Parameter.Name, c.parameterRule(e))
			return
		}
		if e.Err != nil {
			c.collect(e.Err)
			return
		}
	case *openapi3.SchemaError: // of the body: a parameter's is inside its RequestError
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

// parameterRule is what a header or a parameter of path or query must be.
func (c *complaints) parameterRule(e *openapi3filter.RequestError) string {
	own, ok := c.own[e.Parameter.Name]
	switch missing := errors.Is(e.Err, openapi3filter.ErrInvalidRequired); {
	case missing && ok:
		return "is required, and " + own
	case missing:
		return "is required"
	case ok:
		return own
	}
	if broken, ok := errors.AsType[*openapi3.SchemaError](e.Err); ok {
		return rule(broken)
	}
	return "must be " + article(e.Parameter.Schema.Value.Type.Slice())
}

// schema is short for what rules say something about.
type schema = openapi3.Schema

// rules say what a value must be, by the keyword of its schema that it breaks; they never repeat the value.
var rules = map[string]func(s *openapi3.Schema) string{
	"required":  func(*schema) string { return "is required" },
	"nullable":  func(*schema) string { return "must not be null" },
	"type":      func(s *schema) string { return "must be " + article(s.Type.Slice()) },
	"format":    func(s *schema) string { return "must fit into " + strings.TrimPrefix(s.Format, "int") + " bits" },
	"enum":      func(s *schema) string { return "must be one of " + strings.Trim(fmt.Sprint(s.Enum), "[]") },
	"minimum":   func(s *schema) string { return fmt.Sprintf("must be at least %.0f", *s.Min) },
	"maximum":   func(s *schema) string { return fmt.Sprintf("must be at most %.0f", *s.Max) },
	"minLength": func(s *schema) string { return fmt.Sprintf("must have at least %d characters", s.MinLength) },
	"maxLength": func(s *schema) string { return fmt.Sprintf("must have at most %d characters", *s.MaxLength) },
	"minItems":  func(s *schema) string { return fmt.Sprintf("must hold at least %d", s.MinItems) },
	"maxItems":  func(s *schema) string { return fmt.Sprintf("must hold at most %d", *s.MaxItems) },
	"pattern":   func(s *schema) string { return "must match " + s.Pattern },
}

// rule says what a value must be.
func rule(e *openapi3.SchemaError) string {
	if say, ok := rules[e.SchemaField]; ok {
		return say(e.Schema)
	}
	return "breaks the rule " + e.SchemaField
}

// article puts a or an before the name of a type.
func article(types []string) string {
	name := strings.Join(types, " or ")
	if strings.ContainsAny(name[:min(1, len(name))], "aio") {
		return "an " + name
	}
	return "a " + name
}
