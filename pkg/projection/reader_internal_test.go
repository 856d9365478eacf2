package projection

import (
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/projection/rebuild"
)

// clients are of one Redis: as it is, and as a cluster.
func clients(t *testing.T) map[string]redis.UniversalClient {
	addr := []string{miniredis.RunT(t).Addr()}
	all := map[string]redis.UniversalClient{
		"one Redis": redis.NewClient(&redis.Options{Addr: addr[0]}),
		"cluster":   redis.NewClusterClient(&redis.ClusterOptions{Addrs: addr}),
	}
	for _, rdb := range all {
		t.Cleanup(func() { _ = rdb.Close() })
	}
	return all
}

var twelve = []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}

// A rebuild swaps one partition after the other: a read of all of them follows each.
func TestReadFollowsASwapOfEveryPartition(t *testing.T) {
	for name, rdb := range clients(t) {
		t.Run(name, func(t *testing.T) {
			r := NewReader(Behavior[string]{Name: name}, rdb)
			swapped := 0
			_, err := r.Read(t.Context(), twelve, func(Pipes, Keys) {
				if swapped < len(twelve) {
					if err := rdb.HSet(t.Context(), r.store.Key(swapped, rebuild.Key), rebuild.FieldLive, "~next:").Err(); err != nil {
						t.Error(err)
					}
					swapped++
				}
			})
			if err != nil || swapped != len(twelve) {
				t.Errorf("%d swapped, %v", swapped, err)
			}
		})
	}
}

// A partition that cannot be read fails the read, though keys of those before it are merely missing.
func TestReadFailsWithOnePartition(t *testing.T) {
	for name, rdb := range clients(t) {
		t.Run(name, func(t *testing.T) {
			r := NewReader(Behavior[string]{Name: name}, rdb)
			if err := rdb.Set(t.Context(), r.store.Key(11, keyMeta), "no hash", 0).Err(); err != nil {
				t.Fatal(err)
			}
			if states, err := r.States(t.Context(), len(twelve)); fault.ClassOf(err) != fault.Unavailable {
				t.Errorf("%v, %v", states, err)
			}
		})
	}
}
