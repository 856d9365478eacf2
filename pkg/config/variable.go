package config

import (
	"encoding"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// variable is one field with its tags.
type variable struct {
	name, def, help string
	min, max, oneof string // empty: no bound
	secret          bool
	typ             reflect.Type
	index           []int
}

// rule is what the tags ask of a value; empty when that is nothing.
func (v variable) rule() string {
	switch {
	case v.oneof != "":
		return "one of " + strings.ReplaceAll(v.oneof, " ", ", ")
	case v.min != "" && v.max != "":
		return "from " + v.min + " to " + v.max
	case v.min != "":
		return "at least " + v.min
	}
	return ""
}

// holds says whether a value keeps the rule.
func (v variable) holds(value reflect.Value) bool {
	switch {
	case v.oneof != "":
		return slices.Contains(strings.Fields(v.oneof), value.String())
	case v.min != "":
		return value.Int() >= v.bound(v.min) && (v.max == "" || value.Int() <= v.bound(v.max))
	}
	return true
}

func (v variable) bound(text string) int64 {
	if v.typ == reflect.TypeFor[time.Duration]() {
		return int64(must(time.ParseDuration(text)))
	}
	return must(strconv.ParseInt(text, 10, 64))
}

// must is for a tag, which stands in the source.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// variables lists the fields with a variable, in the order of the struct, those of the structs in it included.
func variables(t reflect.Type, prefix string) []variable {
	var vs []variable
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("env"), ",")
		if f.Tag.Get("secret") != "" {
			panic(name + ": a secret's type is config.Secret; a tag hides nothing")
		}
		switch {
		case !f.IsExported() || name == "-":
		case name != "":
			vs = append(vs, variable{
				name: prefix + name, def: f.Tag.Get("envDefault"), help: f.Tag.Get("help"),
				min: f.Tag.Get("min"), max: f.Tag.Get("max"), oneof: f.Tag.Get("oneof"),
				secret: f.Type == reflect.TypeFor[Secret](), typ: f.Type, index: f.Index,
			})
		case nested(f.Type):
			for _, v := range variables(f.Type, prefix+f.Tag.Get("envPrefix")) {
				v.index = append(append([]int{}, f.Index...), v.index...)
				vs = append(vs, v)
			}
		}
	}
	return vs
}

// textUnmarshaler is what a struct implements that is one variable, such as a slog.Level.
var textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()

// nested says whether a struct holds variables, and is not one itself.
func nested(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && !reflect.PointerTo(t).Implements(textUnmarshaler)
}

// kind names a type for people, with the form of its text.
func kind(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "a duration (such as 250ms, 15m or 336h)"
	case reflect.PointerTo(t).Implements(textUnmarshaler):
		return "text"
	case t.Kind() == reflect.Slice:
		return "a list separated by commas"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64:
		return "a whole number"
	case t.Kind() == reflect.Float32 || t.Kind() == reflect.Float64:
		return "a number"
	}
	return "text"
}
