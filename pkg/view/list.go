package view

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

// Cursor is a place in a list that is kept in sorted sets of all partitions.
type Cursor struct {
	Score     int64  `json:"s"`
	ID        string `json:"i"`
	Partition int    `json:"p,omitempty"`
}

// Compare says which comes first in a list with the lowest scores first; equal scores as Redis has them, by their ids.
func (a Cursor) Compare(b Cursor) int {
	return cmp.Or(cmp.Compare(a.Score, b.Score), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Partition, b.Partition))
}

// pageToken is a cursor with the filter that it belongs to.
type pageToken[F comparable] struct {
	Cursor
	Filter F `json:"f"`
}

// EncodePage returns the token of the page after a cursor.
func EncodePage[F comparable](c Cursor, f F) string {
	text, _ := json.Marshal(pageToken[F]{c, f}) // strings and numbers: cannot fail
	return base64.RawURLEncoding.EncodeToString(text)
}

// ParsePage returns the cursor of a token that belongs to a filter; nil for the empty text: the first page. The error
// is Invalid and names page_token.
func ParsePage[F comparable](text string, f F) (*Cursor, error) {
	if text == "" {
		return nil, nil
	}
	var t pageToken[F]
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
	return &t.Cursor, nil
}

// Bounds of a page.
const (
	defaultPage = 50
	maxPage     = 200
)

// PageSize is what AIP-158 makes of a wish.
func PageSize(wish int) int {
	if wish <= 0 {
		return defaultPage
	}
	return min(wish, maxPage)
}

// List is kept in some sorted sets of each partition.
type List struct {
	Keys []string
	// Upwards: the lowest scores first; otherwise the highest.
	Upwards bool
}

// Compare says which of two places comes first.
func (l List) Compare(a, b Cursor) int {
	if l.Upwards {
		return a.Compare(b)
	}
	return b.Compare(a)
}

// run is one sorted set of a list, and how far it was read.
type run struct {
	partition int
	key       string
	offset    int64
	kept      int
}

// Places merges the sorted sets of a list: the next n places after a cursor. Errors are Unavailable, or the problem
// SlugBehind.
func (v *View[D]) Places(ctx context.Context, l List, after *Cursor, n int) ([]Cursor, error) {
	var open []*run
	for _, key := range l.Keys {
		for _, p := range v.Every() {
			open = append(open, &run{partition: p, key: key})
		}
	}
	var all []Cursor
	for len(open) > 0 {
		got, err := v.scan(ctx, l, after, open, n)
		if err != nil {
			return nil, err
		}
		var again []*run
		for i, r := range open {
			for _, z := range got[i] {
				if c := (Cursor{int64(z.Score), z.Member.(string), r.partition}); after == nil || l.Compare(*after, c) < 0 {
					all = append(all, c)
					r.kept++
				}
			}
			// What has the cursor's own score and was listed already comes first and takes places.
			if r.offset += int64(len(got[i])); len(got[i]) == n && r.kept < n {
				again = append(again, r)
			}
		}
		open = again
	}
	slices.SortFunc(all, l.Compare)
	return all[:min(n, len(all))], nil
}

func (v *View[D]) scan(ctx context.Context, l List, after *Cursor, runs []*run, n int) ([][]redis.Z, error) {
	start, stop := "+inf", "-inf"
	if l.Upwards {
		start, stop = stop, start
	}
	if after != nil {
		start = strconv.FormatInt(after.Score, 10)
	}
	cmds := make([]*redis.ZSliceCmd, len(runs))
	err := v.Read(ctx, func(pipe projection.Pipes, keys projection.Keys) {
		for i, r := range runs {
			cmds[i] = pipe(r.partition).ZRangeArgsWithScores(ctx, redis.ZRangeArgs{
				Key: keys(r.partition, r.key), Start: start, Stop: stop, ByScore: true, Rev: !l.Upwards,
				Offset: r.offset, Count: int64(n),
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

// Found is one document as it is now.
type Found[D any] struct {
	ID string
	projection.Found[D]
}

// Documents reads what is at some places, in their order; one that is gone is empty. Errors as those of Places.
func (v *View[D]) Documents(ctx context.Context, places []Cursor) ([]Found[D], error) {
	byPartition := map[int][]int{}
	for i, at := range places {
		byPartition[at.Partition] = append(byPartition[at.Partition], i)
	}
	found := make([]Found[D], len(places))
	for p, of := range byPartition {
		ids := make([]string, len(of))
		for i, at := range of {
			ids[i] = places[at].ID
		}
		got, state, err := v.Reader.Many(ctx, p, ids)
		if err == nil {
			err = v.Whole(ctx, state)
		}
		if err != nil {
			return nil, err
		}
		for i, at := range of {
			found[at] = Found[D]{ids[i], got[i]}
		}
	}
	return found, nil
}
