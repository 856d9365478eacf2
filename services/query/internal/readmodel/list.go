package readmodel

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/projection"
)

// Filter of a list; empty fields let everything pass.
type Filter struct {
	Customer string
	Status   Status
}

// Bounds of a page.
const (
	defaultPage = 50
	maxPage     = 200
	maxRounds   = 5 // look-ups for one page, when few orders pass the filter
)

// cursor is the place of an order in a list, newest first.
type cursor struct {
	Score int64  `json:"s"`
	ID    string `json:"i"`
}

func (a cursor) compare(b cursor) int { // newest first
	return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(b.ID, a.ID))
}

// pageToken is a cursor with the filter that it belongs to.
type pageToken struct {
	cursor
	Filter Filter `json:"f"`
}

func (t pageToken) encode() string {
	text, _ := json.Marshal(t) // strings and a number: cannot fail
	return base64.RawURLEncoding.EncodeToString(text)
}

func parsePage(text string, f Filter) (*cursor, error) {
	if text == "" {
		return nil, nil
	}
	var t pageToken
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(raw, &t)
	}
	switch {
	case err != nil || t.ID == "":
		return nil, fault.Field("page_token", "must be the next_page_token of a page")
	case t.Filter != f:
		return nil, fault.Field("page_token", "belongs to a list with other parameters")
	}
	return &t.cursor, nil
}

// List returns one page of orders, the newest first, and the token of the next page, empty when this is the last. size 0 means
// 50, more than 200 means 200. A page may be shorter without being the last. A wrong token is Invalid, a read model that is being
// rebuilt the problem SlugBehind.
func (m *Model) List(ctx context.Context, f Filter, size int, token string) (page []Found, next string, err error) {
	after, err := parsePage(token, f)
	if err != nil {
		return nil, "", err
	}
	if err := m.whole(ctx); err != nil {
		return nil, "", err
	}
	if size = min(size, maxPage); size <= 0 {
		size = defaultPage
	}
	for range maxRounds {
		refs, err := m.refs(ctx, f, after, size+1)
		if err != nil {
			return nil, "", err
		}
		found, err := m.documents(ctx, refs)
		if err != nil {
			return nil, "", err
		}
		for i := range found {
			if len(page) == size {
				return page, pageToken{*after, f}.encode(), nil
			}
			after = &refs[i]
			if d := found[i]; d.Status() != "" && (f.Status == "" || d.Status() == f.Status) && (f.Customer == "" || d.Order.Customer == f.Customer) {
				page = append(page, d)
			}
		}
		if len(refs) <= size {
			return page, "", nil
		}
	}
	return page, pageToken{*after, f}.encode(), nil
}

// key of the index with the fewest orders that may pass.
func (f Filter) key() string {
	switch {
	case f.Customer != "":
		return keyCustomer + f.Customer
	case f.Status != "":
		return keyStatus + string(f.Status)
	}
	return KeyAll
}

// refs merges the indexes of all partitions: the next n places after a cursor.
func (m *Model) refs(ctx context.Context, f Filter, after *cursor, n int) ([]cursor, error) {
	offsets, kept := make([]int64, m.partitions), make([]int, m.partitions)
	open := m.every()
	var all []cursor
	for len(open) > 0 {
		got, err := m.scan(ctx, f, after, open, offsets, n)
		if err != nil {
			return nil, err
		}
		var again []int
		for i, p := range open {
			for _, z := range got[i] {
				if c := (cursor{int64(z.Score), z.Member.(string)}); after == nil || after.compare(c) < 0 {
					all = append(all, c)
					kept[p]++
				}
			}
			// Orders of the cursor's own millisecond that were listed already come first and take places.
			if offsets[p] += int64(len(got[i])); len(got[i]) == n && kept[p] < n {
				again = append(again, p)
			}
		}
		open = again
	}
	slices.SortFunc(all, cursor.compare)
	return all[:min(n, len(all))], nil
}

func (m *Model) scan(ctx context.Context, f Filter, after *cursor, partitions []int, offsets []int64, n int) ([][]redis.Z, error) {
	limit := "+inf"
	if after != nil {
		limit = strconv.FormatInt(after.Score, 10)
	}
	cmds := make([]*redis.ZSliceCmd, len(partitions))
	_, err := m.reader.Read(ctx, partitions, func(pipe redis.Pipeliner, keys projection.Keys) {
		for i, p := range partitions {
			cmds[i] = pipe.ZRangeArgsWithScores(ctx, redis.ZRangeArgs{
				Key: keys(p, f.key()), Start: limit, Stop: "-inf", ByScore: true, Rev: true, Offset: offsets[p], Count: int64(n),
			})
		}
	})
	if err != nil {
		return nil, err
	}
	got := make([][]redis.Z, len(cmds))
	for i, c := range cmds {
		got[i] = c.Val()
	}
	return got, nil
}

// documents reads the orders at some places, in their order; one that is gone is empty.
func (m *Model) documents(ctx context.Context, refs []cursor) ([]Found, error) {
	byPartition := map[int][]int{}
	for i, r := range refs {
		p := m.Partition(r.ID)
		byPartition[p] = append(byPartition[p], i)
	}
	found := make([]Found, len(refs))
	for p, places := range byPartition {
		ids := make([]string, len(places))
		for i, at := range places {
			ids[i] = refs[at].ID
		}
		got, err := m.reader.Many(ctx, p, ids)
		if err != nil {
			return nil, err
		}
		for i, at := range places {
			found[at] = Found{ID: ids[i], Document: got[i].Doc, Version: got[i].Version}
		}
	}
	return found, nil
}
