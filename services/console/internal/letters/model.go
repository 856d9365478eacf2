// Package letters is what the console knows of dead letters: one document for each chain of letters that wait, indexes to
// list them, and the audit trail. It says how records become chains, what these look like, and reads them.
//
//   - note.go: which record changes which chain
//   - chain.go: the document, and what each record changes in it
//   - chain_index.go: what a document adds to indexes
//   - chains.go: chains in groups and pages, letters of a chain in pages
//   - requests.go: what became of a request; the audit trail
package letters

import (
	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/projection"
	"github.com/troupe-dev/troupe/pkg/view"
)

// Model reads what is known of dead letters, in whatever instance its partitions are written.
type Model struct{ *view.View[Chain] }

// New returns a model. The feed must run.
func New(feed *projection.Feed, rdb redis.UniversalClient, partitions int) *Model {
	return &Model{view.New(Behavior(), feed, rdb, partitions)}
}
