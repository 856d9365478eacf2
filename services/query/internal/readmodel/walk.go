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

// cursor is a place in a list that is kept in sorted sets of all partitions.
type cursor struct {
	Score     int64  `json:"s"`
	ID        string `json:"i"`
	Partition int    `json:"p,omitempty"`
}

// compare says which comes first in a list with the lowest scores first; equal scores as Redis has them, by their ids.
func (a cursor) compare(b cursor) int {
	return cmp.Or(cmp.Compare(a.Score, b.Score), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Partition, b.Partition))
}

// pageToken is a cursor with the filter that it belongs to.
type pageToken[F comparable] struct {
	cursor
	Filter F `json:"f"`
}

func encodePage[F comparable](c cursor, f F) string {
	text, _ := json.Marshal(pageToken[F]{c, f}) // strings and numbers: cannot fail
	return base64.RawURLEncoding.EncodeToString(text)
}

var errOtherList = fault.Field("page_token", "belongs to a list with other parameters")

func decodePage[F comparable](text string) (t pageToken[F], err error) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(raw, &t)
	}
	if err != nil || t.ID == "" {
		return t, fault.Field("page_token", "must be the next_page_token of a page")
	}
	return t, nil
}

// parsePage returns nil for the empty text: the first page.
func parsePage[F comparable](text string, f F) (*cursor, error) {
	if text == "" {
		return nil, nil
	}
	t, err := decodePage[F](text)
	if err == nil && t.Filter != f {
		err = errOtherList
	}
	return &t.cursor, err
}

// pageSize is what AIP-158 makes of a wish.
func pageSize(wish int) int {
	if wish <= 0 {
		return defaultPage
	}
	return min(wish, maxPage)
}

// walk is a list that is kept in some sorted sets of each partition.
type walk struct {
	keys []string
	// upwards: the lowest scores first; otherwise the highest.
	upwards bool
}

func (w walk) compare(a, b cursor) int {
	if w.upwards {
		return a.compare(b)
	}
	return b.compare(a)
}

// run is one sorted set of a walk, and how far it was read.
type run struct {
	partition int
	key       string
	offset    int64
	kept      int
}

// refs merges the sorted sets of a walk: the next n places after a cursor.
func (m *Model) refs(ctx context.Context, w walk, after *cursor, n int) ([]cursor, error) {
	var open []*run
	for _, key := range w.keys {
		for _, p := range m.every() {
			open = append(open, &run{partition: p, key: key})
		}
	}
	var all []cursor
	for len(open) > 0 {
		got, err := m.scan(ctx, w, after, open, n)
		if err != nil {
			return nil, err
		}
		var again []*run
		for i, r := range open {
			for _, z := range got[i] {
				if c := (cursor{int64(z.Score), z.Member.(string), r.partition}); after == nil || w.compare(*after, c) < 0 {
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
	slices.SortFunc(all, w.compare)
	return all[:min(n, len(all))], nil
}

func (m *Model) scan(ctx context.Context, w walk, after *cursor, runs []*run, n int) ([][]redis.Z, error) {
	start, stop := "+inf", "-inf"
	if w.upwards {
		start, stop = stop, start
	}
	if after != nil {
		start = strconv.FormatInt(after.Score, 10)
	}
	cmds := make([]*redis.ZSliceCmd, len(runs))
	_, err := m.reader.Read(ctx, m.every(), func(pipe redis.Pipeliner, keys projection.Keys) {
		for i, r := range runs {
			cmds[i] = pipe.ZRangeArgsWithScores(ctx, redis.ZRangeArgs{
				Key: keys(r.partition, r.key), Start: start, Stop: stop, ByScore: true, Rev: !w.upwards, Offset: r.offset, Count: int64(n),
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

// documents reads what is at some places, in their order; one that is gone is empty.
func (m *Model) documents(ctx context.Context, refs []cursor) ([]Found, error) {
	byPartition := map[int][]int{}
	for i, r := range refs {
		byPartition[r.Partition] = append(byPartition[r.Partition], i)
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
