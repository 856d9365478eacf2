// Package httpdoor is what every HTTP API has in common, whatever is behind it: who may ask (Guard), how a path is read
// and what a path does not take (NewRouter), how many answers without an end there are at once (Streams), and how they
// are written (Events).
//
// Files, each using only those above it:
//   - streams.go: the places of streams, and whose share a client takes from
//   - events.go: streams of server-sent events
//   - guard.go: names, origins and queries that are not let in
//   - router.go: paths, methods and panics
package httpdoor
