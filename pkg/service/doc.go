// Package service starts and stops what every service is made of: telemetry, the log, the store, health and HTTP. What
// is a service's own stands in its run.go, as the function that Run calls between opening those and running all.
//
// Files, each using only those above it:
//   - config.go: the variables that all services have
//   - service.go: Run, and what that function may add
//   - participant.go: the variables that all participants have; AddParticipant
package service
