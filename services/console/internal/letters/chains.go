package letters

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/projection"
	"github.com/troupe-dev/troupe/pkg/view"
)

// Waiting filters chains by their heads; empty fields let everything pass.
type Waiting struct {
	Participant string `json:"p,omitempty"`
	Class       string `json:"c,omitempty"`
	// Type of the event, or the part of it after the last dot.
	Type string `json:"t,omitempty"`
	// Order by its NameOf.
	Order string `json:"o,omitempty"`
}

func (f Waiting) passes(g group) bool {
	return (f.Participant == "" || f.Participant == g.participant) && (f.Class == "" || f.Class == g.class) &&
		(f.Type == "" || f.Type == g.typ || strings.HasSuffix(g.typ, "."+f.Type))
}

// Group is the schema Group of the contract: chains whose heads are alike.
type Group struct {
	Participant string `json:"participant"`
	Class       string `json:"class"`
	Type        string `json:"type"`
	// Orders are chains, Letters all that wait in them.
	Orders  int64 `json:"orders"`
	Letters int64 `json:"letters"`
	// Oldest and Newest are when the heads failed first.
	Oldest time.Time `json:"oldest"`
	Newest time.Time `json:"newest"`
	// Message says why the newest head failed.
	Message string `json:"message"`
}

// WaitingChain is a chain with its place in the list of those that wait.
type WaitingChain struct {
	Chain
	Place view.Cursor
}

// Groups returns the groups that pass, the largest first. A read model that is being rebuilt is the problem view.SlugBehind; other
// errors are Unavailable.
func (m *Model) Groups(ctx context.Context, f Waiting) ([]Group, error) {
	if err := m.Whole(ctx); err != nil {
		return nil, err
	}
	if f.Order != "" {
		chains, err := m.ofOrder(ctx, f)
		return groupsOf(chains), err
	}
	letters, err := m.groups(ctx, f)
	if err != nil {
		return nil, err
	}
	groups := make([]Group, 0, len(letters))
	for g, n := range letters {
		groups = append(groups, Group{Participant: g.participant, Class: g.class, Type: g.typ, Letters: n})
	}
	sortGroups(groups)
	return m.describe(ctx, groups)
}

func sortGroups(groups []Group) {
	slices.SortFunc(groups, func(a, b Group) int {
		return cmp.Or(cmp.Compare(b.Letters, a.Letters), cmp.Compare(a.Participant, b.Participant), cmp.Compare(a.Class, b.Class),
			cmp.Compare(a.Type, b.Type))
	})
}

// groups returns how many letters wait in each group that passes.
func (m *Model) groups(ctx context.Context, f Waiting) (map[group]int64, error) {
	var sets []*redis.ZSliceCmd
	_, err := m.Reader.Read(ctx, m.Every(), func(pipe redis.Pipeliner, keys projection.Keys) {
		sets = nil
		for _, p := range m.Every() {
			sets = append(sets, pipe.ZRangeWithScores(ctx, keys(p, keyGroups), 0, -1))
		}
	})
	letters := map[group]int64{}
	if err != nil {
		return nil, err
	}
	for _, set := range sets {
		for _, z := range set.Val() {
			if g := parseGroup(z.Member.(string)); f.passes(g) {
				letters[g] += int64(z.Score)
			}
		}
	}
	return letters, nil
}

// describe counts the chains of groups and looks at the oldest and the newest of each.
func (m *Model) describe(ctx context.Context, groups []Group) ([]Group, error) {
	type look struct {
		size           *redis.IntCmd
		oldest, newest *redis.ZSliceCmd
	}
	var looks []look
	_, err := m.Reader.Read(ctx, m.Every(), func(pipe redis.Pipeliner, keys projection.Keys) {
		looks = nil
		for _, g := range groups {
			for _, p := range m.Every() {
				key := keys(p, keyGroup+g.key())
				looks = append(looks, look{pipe.ZCard(ctx, key), pipe.ZRangeWithScores(ctx, key, 0, 0), pipe.ZRevRangeWithScores(ctx, key, 0, 0)})
			}
		}
	})
	if err != nil {
		return nil, err
	}
	newest := make([]view.Cursor, len(groups))
	for i, l := range looks {
		g, at := &groups[i/m.Partitions], &newest[i/m.Partitions]
		g.Orders += l.size.Val()
		for _, z := range l.oldest.Val() {
			if t := time.UnixMilli(int64(z.Score)).UTC(); g.Oldest.IsZero() || t.Before(g.Oldest) {
				g.Oldest = t
			}
		}
		for _, z := range l.newest.Val() {
			if c := (view.Cursor{Score: int64(z.Score), ID: z.Member.(string), Partition: i % m.Partitions}); at.ID == "" || at.Compare(c) < 0 {
				*at = c
			}
		}
	}
	found, err := m.Documents(ctx, newest)
	if err != nil {
		return nil, err
	}
	for i := range groups {
		if groups[i].Newest = time.UnixMilli(newest[i].Score).UTC(); found[i].Doc.Head() != nil {
			groups[i].Message = found[i].Doc.Head().Message
		}
	}
	// A chain that moved between two looks can leave a group without any.
	return slices.DeleteFunc(groups, func(g Group) bool { return g.Orders == 0 }), nil
}

func (g Group) key() string { return group{g.Participant, g.Class, g.Type}.String() }

func groupsOf(chains []WaitingChain) []Group {
	byKey := map[group]*Group{}
	for _, c := range chains { // the oldest first
		g, head := groupOf(c.Chain), c.Head()
		if byKey[g] == nil {
			byKey[g] = &Group{Participant: g.participant, Class: g.class, Type: g.typ, Oldest: head.First.Time()}
		}
		byKey[g].Orders++
		byKey[g].Letters += int64(len(c.Letters))
		byKey[g].Newest, byKey[g].Message = head.First.Time(), head.Message
	}
	var groups []Group
	for _, g := range byKey {
		groups = append(groups, *g)
	}
	sortGroups(groups)
	return groups
}

// Chains returns the next n chains that pass after a place, nil being before the first; those that wait longest come
// first. Errors as those of Groups.
func (m *Model) Chains(ctx context.Context, f Waiting, after *view.Cursor, n int) ([]WaitingChain, error) {
	if err := m.Whole(ctx); err != nil {
		return nil, err
	}
	if f.Order != "" {
		all, err := m.ofOrder(ctx, f)
		all = slices.DeleteFunc(all, func(c WaitingChain) bool { return after != nil && c.Place.Compare(*after) <= 0 })
		return all[:min(n, len(all))], err
	}
	letters, err := m.groups(ctx, f)
	if err != nil {
		return nil, err
	}
	w := view.List{Upwards: true}
	for g := range letters {
		w.Keys = append(w.Keys, keyGroup+g.String())
	}
	refs, err := m.Places(ctx, w, after, n)
	if err != nil {
		return nil, err
	}
	found, err := m.Documents(ctx, refs)
	if err != nil {
		return nil, err
	}
	chains := make([]WaitingChain, len(refs))
	for i, d := range found { // one that moved in between is passed over by whoever looks at its head
		chains[i] = WaitingChain{d.Doc, refs[i]}
	}
	return chains, nil
}

// ofOrder returns all chains of one order that pass.
func (m *Model) ofOrder(ctx context.Context, f Waiting) ([]WaitingChain, error) {
	var chains []WaitingChain
	for _, participant := range Participants {
		found, err := m.Reader.Notes(ctx, m.Every(), ChainID(participant, f.Order))
		if err != nil {
			return nil, err
		}
		for p, d := range found {
			if c := d.Doc; c.Head() != nil && f.passes(groupOf(c)) {
				at := view.Cursor{Score: c.Letters[0].First.Time().UnixMilli(), ID: projection.NoteID(c.ID()), Partition: p}
				chains = append(chains, WaitingChain{c, at})
			}
		}
	}
	slices.SortFunc(chains, func(a, b WaitingChain) int { return a.Place.Compare(b.Place) })
	return chains, nil
}

// Chain returns a participant's chain of an order, which is given by its NameOf; ok is false when there never was one, as far as
// the read model knows. Of two (an order whose records came in two partitions) it is one that waits, rather the one where the
// order belongs. Errors are Unavailable.
func (m *Model) Chain(ctx context.Context, participant, order string) (chain Chain, ok bool, err error) {
	found, err := m.Reader.Notes(ctx, m.Every(), ChainID(participant, order))
	if err != nil {
		return Chain{}, false, err
	}
	home := m.Partition(order)
	for _, p := range append([]int{home}, m.Every()...) {
		c := found[p].Doc
		if c.known() && (!ok || chain.Head() == nil && c.Head() != nil) {
			chain, ok = c, true
		}
	}
	return chain, ok, nil
}

// WatchChain is woken when a chain changes, and at least every second. Stop must be called.
func (m *Model) WatchChain(c Chain) *projection.Watch { return m.Feed.Order(projection.NoteID(c.ID())) }
