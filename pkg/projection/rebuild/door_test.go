package rebuild_test

import (
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/projection/rebuild"
)

// A Redis Cluster keeps each partition in a slot of its own.
func TestDoorAsksOfACluster(t *testing.T) {
	rdb := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{miniredis.RunT(t).Addr()}})
	t.Cleanup(func() { _ = rdb.Close() })
	d := rebuild.NewDoor(rdb, "door", 2)
	all, err := d.Start(t.Context())
	if err != nil || len(all) != 2 || all[0].State != rebuild.Requested || all[1].State != rebuild.Requested {
		t.Errorf("%v, %v", all, err)
	}
}
