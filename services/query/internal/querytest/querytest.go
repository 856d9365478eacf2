// Package querytest is what the tests of query play on: a log into which they tell orders, Redis, and the projection.
package querytest

import (
	"testing"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/view/viewtest"
	"github.com/troupe-dev/troupe/schemas/storiestest"
	"github.com/troupe-dev/troupe/services/query"
	"github.com/troupe-dev/troupe/services/query/internal/readmodel"
)

// Writer makes the events of orders.
type Writer struct {
	*viewtest.Writer
	storiestest.Orders[broker.Record]
}

// NewWriter returns a writer whose clock begins now.
func NewWriter() *Writer { return writer(viewtest.NewWriter()) }

func writer(w *viewtest.Writer) *Writer { return &Writer{w, storiestest.To[broker.Record](w)} }

// Stage is a log, a read model and the projection between them.
type Stage struct {
	*viewtest.Stage[query.Document]
	*Writer
	Model *readmodel.Model
}

// New returns an empty stage; nothing is folded before Play.
func New(t testing.TB) *Stage {
	s := viewtest.New(t, query.Behavior())
	return &Stage{s, writer(s.Events), readmodel.New(query.Behavior(), s.Feed, s.Redis, viewtest.Partitions)}
}
