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

// params are a request's form or query parameters; names may be nested, as in metadata[order_id].
type params url.Values

func (p params) get(name string) string { return url.Values(p).Get(name) }

// readParams reads a POST's form and refuses what is not allowed, malformed or given twice. A name that ends in [] allows
// every name nested in it.
func readParams(w http.ResponseWriter, r *http.Request, allowed ...string) (params, *apiError) {
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

func readQuery(r *http.Request, allowed ...string) (params, *apiError) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, invalid("", "", "The query is not form-encoded.")
	}
	return checked(q, allowed)
}

func checked(form url.Values, allowed []string) (params, *apiError) {
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
	return params(form), nil
}

// integer reads a whole number; missing is 0.
func (p params) integer(name string) (int64, *apiError) {
	text := p.get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, invalid("parameter_invalid_integer", name, "Invalid integer: "+text)
	}
	return n, nil
}

// oneOf reads one of some values; missing is empty.
func (p params) oneOf(name string, values ...string) (string, *apiError) {
	value := p.get(name)
	if value != "" && !slices.Contains(values, value) {
		return "", invalid("", name, "Invalid "+name+": "+value)
	}
	return value, nil
}

func (p params) boolean(name string) (bool, *apiError) {
	switch p.get(name) {
	case "":
		return false, nil
	case "true":
		return true, nil
	case "false":
		return false, nil
	default:
		return false, invalid("", name, "Invalid boolean: "+p.get(name))
	}
}

func (p params) metadata() (map[string]string, *apiError) {
	m := map[string]string{}
	for name, values := range p {
		key, ok := strings.CutPrefix(name, "metadata[")
		if !ok {
			continue
		}
		key, ok = strings.CutSuffix(key, "]")
		switch {
		case !ok || key == "" || strings.ContainsAny(key, "[]"):
			return nil, invalid("", name, "Metadata must be given as metadata[key].")
		case utf8.RuneCountInString(key) > maxMetadataKey:
			return nil, invalid("", name, "Metadata keys can have up to 40 characters.")
		case utf8.RuneCountInString(values[0]) > maxMetadataValue:
			return nil, invalid("", name, "Metadata values can have up to 500 characters.")
		}
		m[key] = values[0]
	}
	if len(m) > maxMetadata {
		return nil, invalid("", "metadata", "Metadata can have up to 50 keys.")
	}
	return m, nil
}

// fingerprint tells requests apart for idempotency: where to, and all parameters, in whatever order they came.
func fingerprint(r *http.Request, p params) string {
	sum := sha256.Sum256([]byte(r.Method + " " + r.URL.Path + "?" + url.Values(p).Encode()))
	return hex.EncodeToString(sum[:])
}
