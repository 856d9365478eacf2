package projection

const (
	// recentBytes is about how much memory the orders that were folded lately may take, in all tasks of an instance.
	recentBytes = 32 << 20
	// orderBytes is about what an order takes beside its texts.
	orderBytes = 1 << 10
	// slabOrders are allocated at once.
	slabOrders = 32
)

// recent are the orders of a task that were folded lately, as the store has them once it took the change under way:
// the next event of an order mostly comes soon, and then nothing is read. They hold for one claim, in which nobody
// else writes. Orders leave in the order in which they came, half of all at once, so that those which were allocated
// together go together.
type recent[D any] struct {
	prefix     string // of the keys of documents
	young, old map[string]*order[D]
	bytes      int // of the young ones
	slab       []order[D]
	chains     []section
	touched    []touched[D] // memory for those of the next step
}

// recent returns the orders in memory of a task: without the older half when they take too much.
func (c *cycle[D]) recent(t *partition[D]) *recent[D] {
	r := t.recent
	if r == nil {
		r = &recent[D]{prefix: c.key(t, keyOrder), young: map[string]*order[D]{}, old: map[string]*order[D]{}}
		t.recent = r
	}
	if r.bytes > recentBytes/2/max(1, len(c.Tasks())) {
		r.young, r.old, r.bytes = r.old, r.young, 0
		clear(r.young)
	}
	return r
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
	if len(r.slab) == 0 {
		r.slab, r.chains = make([]order[D], slabOrders), make([]section, slabOrders*topics)
	}
	o := &r.slab[0]
	o.Chains = r.chains[:topics:topics]
	r.slab, r.chains = r.slab[1:], r.chains[topics:]
	var buf [128]byte
	o.key = string(append(append(buf[:0], r.prefix...), id...))
	o.id = o.key[len(r.prefix):]
	r.young[o.id] = o
	r.bytes += orderBytes
	return o
}
