// Package rebuild replaces a read model by one that is folded again from the log's start, while it is read and
// folded on (docs/adr/0012). A partition of the read model is kept in copies. One is live: the pointer names it. A
// rebuild folds another one, its shadow, by the same engine; when the shadow has caught up, one script moves the
// pointer, and the old copy is deleted. A rebuild itself folds nothing: it reads how far the copies are, and moves
// between these states:
//
//	(none) ── request, new fold version, or doubt ──▶ folding ── caught up ──▶ swapped
//	                                                     └─────── cancel ────▶ cancelled
//
// # Goroutines
//
// Runner.Run is one goroutine; beside it runs, now and then, the one that deletes old copies, for which Run waits. The
// Engine is called by the first of them alone. A Door is used by anybody.
//
// Files, each using only those above it:
//   - rebuild.go: what is kept of a rebuild, and how it goes on
//   - door.go: requests and progress, from any instance
//   - runner.go: the owner's side: what it needs
//   - scripts.go: the steps, each at one moment
//   - clear.go: old copies are deleted
//   - run.go: requests are taken up, and copies that have caught up become live
package rebuild
