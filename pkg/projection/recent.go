package projection

// touched is an order that a step changed.
type touched[D any] struct {
	order  *order[D]
	before D // its document
}

const (
	// recentBytes is about how much memory the orders that were folded lately may take, in all tasks of an instance.
	recentBytes = 32 << 20
	// orderBytes is about what an order takes beside its texts.
	orderBytes = 1 << 10
)

// recent are the orders of a task that were folded lately, as the store has them once it took the change under way:
// the next event of an order mostly comes soon, and then nothing is read. They hold for one claim, in which nobody
// else writes. Orders leave in the order in which they came, half of all at once.
type recent[D any] struct {
	prefix     string // of the keys of documents
	young, old map[string]*order[D]
	bytes      int          // of the young ones
	touched    []touched[D] // memory for those of the next step
}

// newRecent returns the orders of a task: none.
func newRecent[D any](prefix string) *recent[D] {
	return &recent[D]{prefix: prefix, young: map[string]*order[D]{}, old: map[string]*order[D]{}}
}

// trim drops the older half when the younger one takes more than so many bytes.
func (r *recent[D]) trim(most int) {
	if r.bytes > most {
		r.young, r.old, r.bytes = r.old, r.young, 0
		clear(r.young)
	}
}

// get returns the order with this id, nil when it is not in memory. It stays as old as it is.
func (r *recent[D]) get(id []byte) *order[D] {
	if o := r.young[string(id)]; o != nil {
		return o
	}
	return r.old[string(id)]
}

// add makes an order that is still to be read.
func (r *recent[D]) add(id []byte, topics int) *order[D] {
	o := &order[D]{key: r.prefix + string(id), record: record[D]{Chains: make([]section, topics)}}
	o.id = o.key[len(r.prefix):]
	r.young[o.id] = o
	r.bytes += orderBytes
	return o
}
