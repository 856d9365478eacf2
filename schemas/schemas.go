// Package schemas holds the contracts between the services: the choreography, the events and the HTTP doors.
package schemas

import _ "embed"

// Choreography is the file choreography.yaml; package choreography reads it.
//
//go:embed choreography.yaml
var Choreography []byte
