package taskstore_test

import (
	"context"
	"fmt"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/taskstore"
)

// Two instances claim the same task; only the later one's changes happen, until Redis forgets the task.
func Example() {
	server := miniredis.NewMiniRedis()
	if err := server.Start(); err != nil {
		panic(err)
	}
	defer server.Close()
	rdb := redis.NewUniversalClient(&redis.UniversalOptions{Addrs: []string{server.Addr()}})
	defer func() { _ = rdb.Close() }()
	ctx, store := context.Background(), taskstore.New(rdb, "payment")

	try := func(owner string, seq int64) {
		push := taskstore.Op{Cmd: "RPUSH", Key: store.Key(7, "outbox"), Args: []string{"a fact of " + owner}}
		change := taskstore.Change{Partition: 7, Owner: owner, Seq: seq, Ops: []taskstore.Op{push}}
		out := store.Apply(ctx, []taskstore.Change{change})[0]
		fmt.Println(owner+":", out.Verdict, out.Err)
	}
	for _, owner := range []string{"first", "second"} {
		meta, err := store.Claim(ctx, 7, owner)
		if err != nil {
			panic(err)
		}
		try(owner, meta.Seq)
	}
	try("first", 1)
	fmt.Println(store.List(ctx, "{payment:7}:outbox"))
	server.FlushAll()
	try("second", 2)
	// Output:
	// first: applied <nil>
	// second: applied <nil>
	// first: fenced <nil>
	// [a fact of first a fact of second] <nil>
	// second: lost <nil>
}
