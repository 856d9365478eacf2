// Package consoletest is what the tests of console play on: a log into which they tell orders, Redis, and the projection.
package consoletest

import (
	"testing"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/view/viewtest"
	"github.com/troupe-dev/troupe/schemas/storiestest"
	"github.com/troupe-dev/troupe/services/console/internal/letters"
)

// Topics of facts.
var Topics = []string{"order.events.v1", "payment.events.v1", "notification.events.v1"}

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
	*viewtest.Stage[letters.Chain]
	*Writer
	Model *letters.Model
}

// New returns an empty stage; nothing is folded before Play.
func New(t testing.TB) *Stage {
	s := viewtest.New(t, letters.Behavior(), Topics...)
	return &Stage{s, writer(s.Events), letters.New(s.Feed, s.Redis, viewtest.Partitions)}
}
