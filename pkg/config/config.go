// Package config fills a struct from environment variables and explains it. Tags of a field:
//
//	env:"NAME"          the variable (github.com/caarlos0/env); "-" leaves the field alone
//	envDefault:"VALUE"  used when the variable is missing or empty
//	min:"1s" max:"1h"   the least that a number or a duration may be; where there is a min, the most too
//	oneof:"a b"         the texts that are taken
//	help:"…"            what it is, its unit, and its danger
//
// A field of type Secret is never shown, and may come from the file that NAME_FILE names, as secrets are mounted in
// containers; it is read again when it is used. Structs in it, embedded ones too, are filled likewise.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"

	"github.com/caarlos0/env/v11"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// fileSuffix of a secret's name makes the name of the variable that says which file holds it.
const fileSuffix = "_FILE"

// Load fills a C from variables in the form of os.Environ ("NAME=value"); the environment of the process itself is not
// read. What the tags ask is checked, and every struct in it, and C itself, that has a method Validate() error is
// asked. All errors are joined; each is of class Invalid and names its variable as Field (Validate must do so itself,
// by fault.Field).
func Load[C any](environ []string) (C, error) {
	var c C
	set := map[string]string{}
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		set[name] = value
	}
	if err := env.ParseWithOptions(&c, env.Options{Environment: set}); err != nil {
		return c, named[C](err, set)
	}
	var unread, wrong []error
	for _, v := range variables(reflect.TypeFor[C](), "") {
		field := reflect.ValueOf(&c).Elem().FieldByIndex(v.index)
		if secret, ok := field.Addr().Interface().(*Secret); ok {
			unread = append(unread, secret.fromFile(v.name, set[v.name], set[v.name+fileSuffix]))
		}
		wrong = append(wrong, fault.FieldIf(!v.holds(field), v.name, "must be %s, is %s", v.rule(), render(field)))
	}
	if err := errors.Join(unread...); err != nil { // Validate would say it again
		return c, err
	}
	return c, errors.Join(errors.Join(wrong...), validate(reflect.ValueOf(&c).Elem()))
}

// named finds the variables behind an error of env, which names the struct's fields only: each variable is tried alone.
func named[C any](err error, set map[string]string) error {
	var errs []error
	for _, v := range variables(reflect.TypeFor[C](), "") {
		value, ok := set[v.name]
		if !ok {
			continue
		}
		alone := env.ParseWithOptions(new(C), env.Options{Environment: map[string]string{v.name: value}})
		if pe, ok := errors.AsType[env.ParseError](alone); ok {
			errs = append(errs, fault.Field(v.name, "must be %s: %w", kind(v.typ), pe.Err))
		}
	}
	if len(errs) == 0 {
		return fault.As(fault.Invalid, err)
	}
	return errors.Join(errs...)
}

// validate asks the structs inside first. An embedded struct's Validate is the outer one's too when that has none of
// its own, so the same complaint can come twice; it is kept once.
func validate(v reflect.Value) error {
	var errs []error
	told := map[string]bool{}
	add := func(err error) {
		if err != nil && !told[err.Error()] {
			told[err.Error()] = true
			errs = append(errs, err)
		}
	}
	for i := range v.NumField() {
		if f := v.Field(i); v.Type().Field(i).IsExported() && nested(f.Type()) {
			add(validate(f))
		}
	}
	if x, ok := v.Addr().Interface().(interface{ Validate() error }); ok {
		add(x.Validate())
	}
	return errors.Join(errs...)
}

// Masked returns the variables of a configuration with their values, in the order of the struct, as log attributes. A
// secret shows only whether it is set.
func Masked[C any](cfg C) []slog.Attr {
	var attrs []slog.Attr
	for _, v := range variables(reflect.TypeFor[C](), "") {
		attrs = append(attrs, slog.String(v.name, render(reflect.ValueOf(cfg).FieldByIndex(v.index))))
	}
	return attrs
}

// Value returns a variable's value as text; ok is false when C has no such variable or it is secret.
func Value[C any](cfg C, name string) (text string, ok bool) {
	for _, v := range variables(reflect.TypeFor[C](), "") {
		if v.name == name && !v.secret {
			return render(reflect.ValueOf(cfg).FieldByIndex(v.index)), true
		}
	}
	return "", false
}

// Usage describes every variable of C: its type, default and help, wrapped for a terminal.
func Usage[C any]() string {
	var b strings.Builder
	for _, v := range variables(reflect.TypeFor[C](), "") {
		form, _, _ := strings.Cut(kind(v.typ), " (")
		fmt.Fprintf(&b, "  %s  %s", v.name, form)
		if rule := v.rule(); rule != "" {
			b.WriteString(", " + rule)
		}
		b.WriteString(", default " + cmp.Or(v.def, "empty"))
		if v.secret {
			fmt.Fprintf(&b, ", secret; or a file that holds it, by %s%s", v.name, fileSuffix)
		}
		b.WriteString("\n" + wrapped(v.help, "      ", 100))
	}
	return b.String()
}

// render writes a value as it would stand in the variable.
func render(v reflect.Value) string {
	if v.Kind() == reflect.Slice {
		part := make([]string, v.Len())
		for i := range part {
			part[i] = render(v.Index(i))
		}
		return strings.Join(part, ",")
	}
	return fmt.Sprint(v.Interface())
}

// wrapped is a text in lines of at most width bytes, the indent included.
func wrapped(text, indent string, width int) string {
	var lines []string
	for word := range strings.FieldsSeq(text) {
		if last := len(lines) - 1; last >= 0 && len(lines[last])+1+len(word) <= width {
			lines[last] += " " + word
		} else {
			lines = append(lines, indent+word)
		}
	}
	return strings.Join(append(lines, ""), "\n")
}
