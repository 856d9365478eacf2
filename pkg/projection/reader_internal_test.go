package projection

import (
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/projection/rebuild"
)

// A rebuild swaps one partition after the other: a read of all of them follows each.
func TestReadFollowsASwapOfEveryPartition(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr()})
	t.Cleanup(func() { _ = rdb.Close() })
	r := NewReader(Behavior[string]{Name: "reader"}, rdb)
	partitions := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}
	swapped := 0
	_, err := r.Read(t.Context(), partitions, func(redis.Pipeliner, Keys) {
		if swapped < len(partitions) {
			if err := rdb.HSet(t.Context(), r.store.Key(swapped, rebuild.Key), rebuild.FieldLive, "~next:").Err(); err != nil {
				t.Error(err)
			}
			swapped++
		}
	})
	if err != nil || swapped != len(partitions) {
		t.Errorf("%d swapped, %v", swapped, err)
	}
}
