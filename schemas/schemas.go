// Package schemas holds the contracts between the services: the choreography, the events and the HTTP doors.
package schemas

import "embed"

// Choreography is the file choreography.yaml; package choreography reads it.
//
//go:embed choreography.yaml
var Choreography []byte

// Protos are the schemas of the events, below proto/.
//
//go:embed proto
var Protos embed.FS
