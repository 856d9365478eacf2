package projection

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// digest is a sum over entries, so it does not depend on their order.
type digest uint64

func (d digest) String() string { return fmt.Sprintf("%016x", uint64(d)) }

// add takes the entries of one key.
func (d *digest) add(rest string, entries map[string]string) {
	for k, v := range entries {
		h := sha256.New()
		for _, part := range []string{rest, k, v} {
			_ = binary.Write(h, binary.BigEndian, uint32(len(part))) //nolint:gosec // no key or value has 4 GiB; writing to a hash cannot fail
			h.Write([]byte(part))
		}
		*d += digest(binary.BigEndian.Uint64(h.Sum(nil)))
	}
}

// entries queues reading what a key holds, in both spaces, in a form that does not depend on the order of writing.
func (c *cycle[D]) entries(ctx context.Context, pipe redis.Pipeliner, p pair) func() (live, beside map[string]string) {
	read := func(key string) func() map[string]string {
		switch p.kind {
		case "hash":
			return counters(pipe.HGetAll(ctx, key))
		case "set":
			return counted(pipe.SMembers(ctx, key))
		case "list":
			return counted(pipe.LRange(ctx, key, 0, -1))
		}
		return func() map[string]string { return nil } // gone
	}
	switch p.kind {
	case "string":
		live, beside := pipe.Get(ctx, p.live), pipe.Get(ctx, p.beside)
		return func() (map[string]string, map[string]string) {
			a, b := live.Val(), beside.Val()
			if a != b && strings.HasPrefix(p.rest, keyOrder) {
				a, b = c.b.canonical(a), c.b.canonical(b)
			}
			return value(a), value(b)
		}
	case "none", "hash", "set", "list":
		live, beside := read(p.live), read(p.beside)
		return func() (map[string]string, map[string]string) { return live(), beside() }
	}
	// Another type on each side, or one that nothing can be summed up in.
	return func() (map[string]string, map[string]string) { return map[string]string{"type": p.kind}, nil }
}

func value(text string) map[string]string {
	if text == "" {
		return nil
	}
	return map[string]string{"": text}
}

// counters leaves out those that are 0: they may never have been touched.
func counters(cmd *redis.MapStringStringCmd) func() map[string]string {
	return func() map[string]string {
		entries := cmd.Val()
		maps.DeleteFunc(entries, func(_, v string) bool { return v == "0" })
		return entries
	}
}

func counted(cmd *redis.StringSliceCmd) func() map[string]string {
	return func() map[string]string {
		n := map[string]int{}
		for _, m := range cmd.Val() {
			n[m]++
		}
		entries := make(map[string]string, len(n))
		for m, times := range n {
			entries[m] = strconv.Itoa(times)
		}
		return entries
	}
}

// canonical is a document as this program would write it: another one may have written it in another form.
func (b Behavior[D]) canonical(stored string) string {
	var r record[D]
	if stored == "" || b.parse(stored, &r) != nil {
		return stored
	}
	text, err := b.append(nil, &r)
	if err != nil {
		return stored
	}
	return string(text)
}

func scored(members []redis.Z) map[string]string {
	entries := make(map[string]string, len(members))
	for _, z := range members {
		entries[z.Member.(string)] = strconv.FormatFloat(z.Score, 'g', -1, 64)
	}
	return entries
}
