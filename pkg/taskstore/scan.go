package taskstore

import (
	"context"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// scanCount is about how many keys Redis looks at in one go: short enough that nobody waits.
const scanCount = 1000

// Scan calls each with the keys of the service as they are found, by partition and without their hash tags: every key
// that is there all the time once or more, another one perhaps. An error of each ends it. Others are of class
// Unavailable.
func (s *Store) Scan(ctx context.Context, each func(partition int, rests []string) error) error {
	tag := "{" + s.name + ":"
	var one sync.Mutex // the nodes of a cluster are scanned at once
	return eachNode(ctx, s.rdb, func(ctx context.Context, node redis.Cmdable) error {
		for cursor := uint64(0); ; {
			keys, next, err := node.Scan(ctx, cursor, escapeGlob(tag)+"*", scanCount).Result()
			if err != nil {
				return unavailable(err)
			}
			found := map[int][]string{}
			for _, key := range keys {
				number, rest, ok := strings.Cut(strings.TrimPrefix(key, tag), "}:")
				p, err := strconv.Atoi(number)
				if ok && s.copies != nil && err == nil && p < len(s.copies) {
					rest, ok = strings.CutPrefix(rest, s.copies[p])
				}
				if ok && err == nil {
					found[p] = append(found[p], rest)
				}
			}
			one.Lock()
			for p, rests := range found {
				if err == nil {
					err = each(p, rests)
				}
			}
			one.Unlock()
			if err != nil {
				return err
			}
			if cursor = next; cursor == 0 {
				return nil
			}
		}
	})
}
