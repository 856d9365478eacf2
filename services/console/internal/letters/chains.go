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

func (f Waiting) passes(c Cause) bool {
	return (f.Participant == "" || f.Participant == c.Participant) && (f.Class == "" || f.Class == c.Class) &&
		(f.Type == "" || f.Type == c.Type || strings.HasSuffix(c.Type, "."+f.Type))
}

// Group is the schema Group of the contract: chains whose heads are alike.
type Group struct {
	Cause
	// Orders are chains, Letters all that wait in them.
	Orders  int64 `json:"orders"`
	Letters int64 `json:"letters"`
	// Oldest and Newest are when the heads failed first.
	Oldest time.Time `json:"oldest"`
	Newest time.Time `json:"newest"`
	// Message says why the newest head failed.
	Message string `json:"message"`
}

// Groups returns the groups that pass, the largest first. A read model that is being rebuilt is the problem view.SlugBehind; other
// errors are Unavailable.
func (m *Model) Groups(ctx context.Context, f Waiting) ([]Group, error) {
	if f.Order != "" {
		return m.groupsOf(ctx, f)
	}
	letters, err := m.causes(ctx, f)
	if err != nil {
		return nil, err
	}
	groups := make([]Group, 0, len(letters))
	for c, n := range letters {
		groups = append(groups, Group{Cause: c, Letters: n})
	}
	return m.describe(ctx, largestFirst(groups))
}

func largestFirst(groups []Group) []Group {
	slices.SortFunc(groups, func(a, b Group) int {
		return cmp.Or(cmp.Compare(b.Letters, a.Letters), cmp.Compare(a.String(), b.String()))
	})
	return groups
}

// groupsOf returns the groups of one order. Two of its chains can be alike, where its records came in two partitions.
func (m *Model) groupsOf(ctx context.Context, f Waiting) (groups []Group, err error) {
	chains, _, err := m.Chains(ctx, f, 0, "") // the longest waiting first
	for _, c := range chains {
		first := c.Head().First.Time()
		i := slices.IndexFunc(groups, func(g Group) bool { return g.Cause == c.cause() })
		if i < 0 {
			i, groups = len(groups), append(groups, Group{Cause: c.cause(), Oldest: first})
		}
		g := &groups[i]
		g.Orders, g.Letters, g.Newest, g.Message = g.Orders+1, g.Letters+int64(len(c.Letters)), first, c.Head().Message
	}
	return largestFirst(groups), err
}

// causes returns how many letters wait in each group that passes.
func (m *Model) causes(ctx context.Context, f Waiting) (map[Cause]int64, error) {
	var sets []*redis.ZSliceCmd
	err := m.Read(ctx, func(pipe projection.Pipes, keys projection.Keys) {
		sets = nil
		for _, p := range m.Every() {
			sets = append(sets, pipe(p).ZRangeWithScores(ctx, keys(p, keyGroups), 0, -1))
		}
	})
	letters := map[Cause]int64{}
	if err != nil {
		return nil, err
	}
	for _, set := range sets {
		for _, z := range set.Val() {
			if c := parseCause(z.Member.(string)); f.passes(c) {
				letters[c] += int64(z.Score)
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
	err := m.Read(ctx, func(pipe projection.Pipes, keys projection.Keys) {
		looks = nil
		for _, g := range groups {
			for _, p := range m.Every() {
				key := keys(p, keyGroup+g.String())
				looks = append(looks, look{pipe(p).ZCard(ctx, key), pipe(p).ZRangeWithScores(ctx, key, 0, 0), pipe(p).ZRevRangeWithScores(ctx, key, 0, 0)})
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

// Chains returns one page of the chains that pass, those that wait longest first, and the token of the next page. Size is
// as view.PageSize has it. Errors as those of Groups; Invalid for a token of another list.
func (m *Model) Chains(ctx context.Context, f Waiting, size int, token string) (page []Chain, next string, err error) {
	after, err := view.ParsePage(token, f)
	if err != nil {
		return nil, "", err
	}
	size = view.PageSize(size)
	places, err := m.waiting(ctx, f, after, size+1)
	if err != nil {
		return nil, "", err
	}
	if len(places) > size {
		places = places[:size]
		next = view.EncodePage(places[size-1], f)
	}
	found, err := m.Documents(ctx, places)
	for _, d := range found {
		if d.Doc.Head() != nil { // otherwise it moved between two looks
			page = append(page, d.Doc)
		}
	}
	return page, next, err
}

// waiting says where the next n chains that pass are after a place, nil being before the first.
func (m *Model) waiting(ctx context.Context, f Waiting, after *view.Cursor, n int) ([]view.Cursor, error) {
	list := view.List{Upwards: true}
	if f.Order == "" {
		letters, err := m.causes(ctx, f)
		if err != nil {
			return nil, err
		}
		for c := range letters {
			list.Keys = append(list.Keys, keyGroup+c.String())
		}
		return m.Places(ctx, list, after, n)
	}
	var all []view.Cursor
	chains, err := m.ofOrder(ctx, f.Order)
	for _, c := range chains {
		if c.Head() != nil && f.passes(c.cause()) {
			first := c.Head().First.Time().UnixMilli()
			all = append(all, view.Cursor{Score: first, ID: projection.NoteID(c.ID()), Partition: c.Partition})
		}
	}
	return pageOf(list, all, after, n), err
}

// pageOf is the next n of all places of a list after one.
func pageOf(list view.List, all []view.Cursor, after *view.Cursor, n int) []view.Cursor {
	all = slices.DeleteFunc(all, func(c view.Cursor) bool { return after != nil && list.Compare(*after, c) >= 0 })
	slices.SortFunc(all, list.Compare)
	return all[:min(n, len(all))]
}

// ofOrder returns all chains of one order, of which nothing need wait any more.
func (m *Model) ofOrder(ctx context.Context, order string) (chains []Chain, err error) {
	for _, participant := range Participants {
		found, states, err := m.Reader.Notes(ctx, m.Every(), ChainID(participant, order))
		if err == nil {
			err = m.Whole(ctx, states...)
		}
		if err != nil {
			return nil, err
		}
		for _, d := range found {
			if d.Doc.known() {
				chains = append(chains, d.Doc)
			}
		}
	}
	return chains, nil
}

// Chain returns a participant's chain of an order, which is given by its NameOf; ok is false when there never was one, as far as
// the read model knows. Of two (an order whose records came in two partitions) it is one that waits, rather the one where the
// order belongs. Errors are Unavailable.
func (m *Model) Chain(ctx context.Context, participant, order string) (chain Chain, ok bool, err error) {
	found, _, err := m.Reader.Notes(ctx, m.Every(), ChainID(participant, order))
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

// chainPage is what a page token of one chain belongs to.
type chainPage struct {
	Chain     string `json:"c"`
	Partition int    `json:"n,omitempty"`
}

// Page returns which letters are on a page of the chain: from first to before last. A token whose letter came out meanwhile goes on
// at the head. Sizes and errors as those of Model.Chains.
func (c Chain) Page(size int, token string) (first, last int, err error) {
	after, err := view.ParsePage(token, chainPage{c.ID(), c.Partition})
	if err != nil {
		return 0, 0, err
	}
	if after != nil {
		first = c.Find(after.ID) + 1
	}
	return first, min(first+view.PageSize(size), len(c.Letters)), nil
}

// PageToken is the token of the page that begins with a letter, not the first.
func (c Chain) PageToken(first int) string {
	return view.EncodePage(view.Cursor{ID: c.Letters[first-1].ID}, chainPage{c.ID(), c.Partition})
}
