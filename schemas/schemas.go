// Package schemas holds the contracts between the services: the choreography, the events and the HTTP doors.
package schemas

import "embed"

//go:generate go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2 -config openapi/client.gen.yaml -package orderapi -o client/orderapi/api.gen.go openapi/order.yaml
//go:generate go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2 -config openapi/client.gen.yaml -package queryapi -o client/queryapi/api.gen.go openapi/query.yaml
//go:generate go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2 -config openapi/client.gen.yaml -package consoleapi -o client/consoleapi/api.gen.go openapi/console.yaml

// Choreography is the file choreography.yaml; package choreography reads it.
//
//go:embed choreography.yaml
var Choreography []byte

// Protos are the schemas of the events, below proto/.
//
//go:embed proto
var Protos embed.FS
