package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits of Stripe's API that a client meets. Those of metadata are in characters.
const (
	maxBody          = 64 << 10
	maxMetadata      = 50
	maxMetadataKey   = 40
	maxMetadataValue = 500
)

// params are a request's form or query parameters; names may be nested, as in metadata[order_id]. wrong is the first that
// could not be read.
type params struct {
	form  url.Values
	wrong *apiError
}

func (p *params) get(name string) string { return p.form.Get(name) }

func (p *params) refuse(code, name, message string) {
	if p.wrong == nil {
		p.wrong = invalid(code, name, message)
	}
}

// readParams reads a POST's form and refuses what is not allowed, malformed or given twice. A name that ends in [] allows
// every name nested in it.
func readParams(w http.ResponseWriter, r *http.Request, allowed ...string) (*params, *apiError) {
	if r.URL.RawQuery != "" {
		return nil, invalid("", "", "Parameters of a POST belong in its body.")
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		e := invalid("", "", "The body must not be larger than 64 KiB.")
		e.Status = http.StatusRequestEntityTooLarge
		return nil, e
	}
	if err != nil {
		return nil, invalid("", "", "The body could not be read.")
	}
	if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); len(raw) > 0 && kind != "application/x-www-form-urlencoded" {
		return nil, invalid("", "", "The body must be of type application/x-www-form-urlencoded.")
	}
	form, err := url.ParseQuery(string(raw))
	if err != nil {
		return nil, invalid("", "", "The body is not form-encoded.")
	}
	return checked(form, allowed)
}

func readQuery(r *http.Request, allowed ...string) (*params, *apiError) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, invalid("", "", "The query is not form-encoded.")
	}
	return checked(q, allowed)
}

func checked(form url.Values, allowed []string) (*params, *apiError) {
	for name, values := range form {
		root, _, nested := strings.Cut(name, "[")
		if nested {
			root += "[]"
		}
		if root == "expand" || root == "expand[]" {
			return nil, invalid("", name, "The simulator expands nothing.")
		}
		if !slices.Contains(allowed, root) {
			return nil, invalid("parameter_unknown", name, "Received unknown parameter: "+name)
		}
		if len(values) != 1 {
			return nil, invalid("", name, "Parameter given more than once: "+name)
		}
	}
	return &params{form: form}, nil
}

// integer reads a whole number; missing is 0.
func (p *params) integer(name string) int64 {
	text := p.get(name)
	if text == "" {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		p.refuse("parameter_invalid_integer", name, "Invalid integer: "+text)
	}
	return n
}

func (p *params) boolean(name string) bool {
	text := p.get(name)
	if !slices.Contains([]string{"", "true", "false"}, text) {
		p.refuse("", name, "Invalid boolean: "+text)
	}
	return text == "true"
}

func (p *params) metadata() map[string]string {
	m := map[string]string{}
	for name, values := range p.form {
		key, ok := strings.CutPrefix(name, "metadata[")
		if !ok {
			continue
		}
		key, ok = strings.CutSuffix(key, "]")
		switch {
		case !ok || key == "" || strings.ContainsAny(key, "[]"):
			p.refuse("", name, "Metadata must be given as metadata[key].")
		case utf8.RuneCountInString(key) > maxMetadataKey:
			p.refuse("", name, "Metadata keys can have up to 40 characters.")
		case utf8.RuneCountInString(values[0]) > maxMetadataValue:
			p.refuse("", name, "Metadata values can have up to 500 characters.")
		}
		m[key] = values[0]
	}
	if len(m) > maxMetadata {
		p.refuse("", "metadata", "Metadata can have up to 50 keys.")
	}
	return m
}

// fingerprint tells requests apart for idempotency: where to, and all parameters, in whatever order they came.
func fingerprint(r *http.Request, p *params) string {
	sum := sha256.Sum256([]byte(r.Method + " " + r.URL.Path + "?" + p.form.Encode()))
	return hex.EncodeToString(sum[:])
}
