// Package console is the operators' door of the query service: what waits behind dead letters, and the ways to bring it back. It
// is schemas/openapi/console.yaml; the server is generated from it, and every request is held against it first.
package console

//go:generate go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2 -config ../../../../schemas/openapi/console.gen.yaml -o api.gen.go ../../../../schemas/openapi/console.yaml
