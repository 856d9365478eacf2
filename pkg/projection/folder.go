package projection

import "github.com/troupe-dev/troupe/pkg/task"

type engine[D any] = task.Engine[*partition[D]]

// folder folds records into documents, for the tasks of one engine. The engine's goroutine owns it.
//
// A step of a task takes the first records that wait: their documents are read, those of all tasks in one round trip
// (load), each record is folded into its document (fold), and what became of them is put into the commands of one
// change (write). Nothing of a step is seen by a reader before all of it is.
type folder[D any] struct {
	*model[D]
	*engine[D]
	of     *copies
	watch  *watch
	writes Writes
	text   []byte // memory for those of the next step
}

// work is what a task takes in one step.
type work[D any] struct {
	task    *partition[D]
	items   []item
	recent  *recent[D]
	orders  []*order[D] // of the items; nil: it belongs to none
	touched []touched[D]
	bad     []undecodable
	tallies []tally // by source

	contradicted []string // orders whose adopted heads are
}

// undecodable is a record that could not be read, as it is remembered.
type undecodable struct {
	Topic     string `json:"topic"`
	Partition int    `json:"partition"`
	Offset    int64  `json:"offset"`
	Error     string `json:"error"`
}

// key of the copy that a task folds.
func (f *folder[D]) key(t *partition[D], rest string) string { return f.Store.Key(t.Number, rest) }

// recent returns the orders in memory of a task: without the older half when they take too much.
func (f *folder[D]) recent(t *partition[D]) *recent[D] {
	if t.recent == nil {
		t.recent = newRecent[D](f.key(t, keyOrder))
	}
	t.recent.trim(recentBytes / 2 / max(1, len(f.Tasks())))
	return t.recent
}
