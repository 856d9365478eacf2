// Package client holds the REST clients that are generated from the contracts in schemas/openapi, one in each folder, and
// what their callers share.
package client

// Given is a parameter that is sent unless it is zero.
func Given[T comparable](v T) *T {
	if v == *new(T) {
		return nil
	}
	return &v
}
