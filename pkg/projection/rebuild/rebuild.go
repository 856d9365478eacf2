package rebuild

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/task"
)

// State of the rebuild of one partition. Empty: nobody asked for one since Redis was wiped.
type State string

// The states. The first two are under way.
const (
	Requested State = "requested" // its owner has not seen it yet
	Folding   State = "folding"   // from the log's start, beside the live read model
	Swapped   State = "swapped"   // what was rebuilt is live
	Cancelled State = "cancelled" // what was live stays
)

// Active says whether the rebuild is under way.
func (s State) Active() bool { return s == Requested || s == Folding }

// Status is the last rebuild of one partition.
type Status struct {
	Partition int `json:"-"`
	// ID of the request; empty: none was made.
	ID    string `json:"id,omitempty"`
	State State  `json:"state,omitempty"`
	// Release: it began by itself, for a new fold version or a head in doubt; nobody can cancel it.
	Release bool `json:"release,omitempty"`
	// Folded records, Of so many as the live read model has folded.
	Folded    int64     `json:"folded"`
	Of        int64     `json:"of"`
	Requested time.Time `json:"requested,omitzero"`
	Began     time.Time `json:"began,omitzero"`
	Ended     time.Time `json:"ended,omitzero"`
	// Clearing: a copy that is no longer used is being deleted.
	Clearing bool `json:"-"`
}

// Names in Redis, after the hash tag of a partition: what a rebuild keeps, and what it reads of a copy. The keys of
// a copy begin with its name, which is empty for the first one and like ~k3vq81xa: for the others.
const (
	Key  = "rebuild" // hash, of no copy
	Meta = "meta"    // hash, of each copy

	FieldLive   = "live"   // the pointer: name of the live copy; missing: the first
	fieldShadow = "shadow" // name of the copy that is built; empty: none
	fieldWant   = "want"   // the newest request
	fieldIs     = "is"     // Status: what its owner made of it
	// FieldClear: there may be keys of other copies; a Token, to be deleted by who saw that there are none.
	FieldClear = "clear"

	FieldVersion  = "fold_version"   // of Meta
	FieldPosition = task.PrefixInput // of Meta, + topic: the next offset to fold
	FieldGoal     = "goal:"          // of Meta, + topic: the log's end when the copy was claimed
	FieldFolded   = "folded"         // of Meta: records folded, while it is a shadow
)

// request is what a door asks of a partition.
type request struct {
	ID     string    `json:"id"`
	Cancel bool      `json:"cancel,omitempty"`
	At     time.Time `json:"at"`
}

// entry is the hash Key of one partition.
type entry struct {
	want                request
	is                  Status
	live, shadow, clear string
}

func entryOf(fields map[string]string) entry {
	e := entry{live: fields[FieldLive], shadow: fields[fieldShadow], clear: fields[FieldClear]}
	_ = json.Unmarshal([]byte(fields[fieldWant]), &e.want) // what cannot be read asks for nothing
	_ = json.Unmarshal([]byte(fields[fieldIs]), &e.is)
	return e
}

// next is what the owner of a partition makes of its entry. stale: it is to be rebuilt although nobody asks.
func (e entry) next(stale bool) (after entry, changed bool) {
	asked := e.want.ID != "" && e.want.ID != e.is.ID
	switch {
	case e.want.Cancel && (asked || e.is.State.Active()) && !e.is.Release:
		e.is.ID, e.is.State, e.is.Ended = e.want.ID, Cancelled, time.Now().UTC()
		e.drop()
	case asked && e.shadow != "": // joins what is under way
		e.is.ID, e.is.Requested = e.want.ID, e.want.At
	case asked, stale && e.shadow == "":
		e.is = Status{ID: e.want.ID, Requested: e.want.At, State: Folding, Release: stale, Began: time.Now().UTC()}
		e.shadow = "~" + Token() + ":"
	default:
		return e, false
	}
	return e, true
}

// drop has the shadow deleted.
func (e *entry) drop() {
	if e.shadow != "" {
		e.shadow, e.clear = "", Token()
	}
}

// swapped is the entry after its shadow became what is live.
func (e entry) swapped(folded int64) entry {
	e.is.State, e.is.Ended, e.is.Folded, e.is.Of = Swapped, time.Now().UTC(), folded, folded
	e.live, e.shadow, e.clear = e.shadow, "", Token()
	return e
}

// fields are those that an owner writes who found the entry as before.
func (e entry) fields(before entry) []any {
	is, _ := json.Marshal(e.is) // strings, numbers and times of this age: cannot fail
	fields := []any{fieldIs, string(is), fieldShadow, e.shadow}
	if e.clear != before.clear { // otherwise a claim may have asked for it in between
		fields = append(fields, FieldClear, e.clear)
	}
	return fields
}

// Token returns a value of FieldClear that nobody has used.
func Token() string { return strings.ToLower(rand.Text()[:8]) }

// Copy is the name of the copy that a key, without its hash tag, belongs to.
func Copy(rest string) string {
	if i := strings.IndexByte(rest, ':'); i > 0 && rest[0] == '~' {
		return rest[:i+1]
	}
	return ""
}

// progress is how far a shadow is: records folded, and records that the live copy is ahead.
func progress(live, shadow map[string]string) (folded, gap int64) {
	number := func(text string) int64 {
		n, _ := strconv.ParseInt(text, 10, 64) // missing: 0
		return n
	}
	for field, at := range live {
		if strings.HasPrefix(field, FieldPosition) {
			gap += max(0, number(at)-number(shadow[field]))
		}
	}
	return number(shadow[FieldFolded]), gap
}

// Unavailable returns an error of the store of read models as one of the class Unavailable; nil for nil.
func Unavailable(err error) error {
	if err == nil {
		return nil
	}
	return fault.As(fault.Unavailable, fmt.Errorf("read model: %w", err))
}
