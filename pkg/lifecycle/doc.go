// Package lifecycle starts a program's parts in order, stops them in reverse order with a deadline each, and tells the
// outside whether it lives and whether it is ready.
//
// A service is Main around a function that makes its parts and runs them: HTTP servers (HTTP), readiness (Health.Part),
// and whatever else has a Run that ends with its context.
//
// Files, each using only those above it:
//   - lifecycle.go: parts are started and stopped
//   - health.go: /livez, /readyz and /servez
//   - http.go: an HTTP server as a part
//   - main.go: flags, configuration, signals and exit codes of a main function
//
// # Goroutines
//
// Run has one for each part and waits for them, but for those that miss their deadline. Main runs the service on
// another than its own, and leaves it behind at a second signal.
package lifecycle
