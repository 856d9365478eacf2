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

// explain turns the validator's errors into one error for each field at fault.
func (c *Contract) explain(err error) error {
	if err == nil {
		return nil
	}
	all := complaints{rules: c.cfg.Rules, told: map[string]bool{}}
	all.collect(err)
	return errors.Join(all.errs...)
}

// complaints holds one error per field: the first.
type complaints struct {
	rules map[string]string
	errs  []error
	told  map[string]bool
}

func (c *complaints) add(field, rule string) {
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
			c.add(e.Parameter.Name, c.parameterRule(e))
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

func (c *complaints) parameterRule(e *openapi3filter.RequestError) string {
	own, ok := c.rules[e.Parameter.Name]
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
	case "enum":
		return "must be one of " + strings.Trim(fmt.Sprint(s.Enum), "[]")
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
