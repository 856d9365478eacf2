package projection

import (
	"reflect"
	"strconv"
	"testing"
)

func op(cmd, key string, args ...string) Op { return Op{Cmd: cmd, Key: key, Args: args} }

func TestMergedSaysTheSameInFewCommands(t *testing.T) {
	got := merged([]Op{
		op("ZADD", "all", "1", "o1"), op("HINCRBY", "minute", "orders", "1"), op("EXPIREAT", "minute", "60"), op("ZREM", "open", "o1"),
		op("ZADD", "all", "2", "o2"), op("HINCRBY", "minute", "orders", "2"), op("EXPIREAT", "minute", "60"), op("ZREM", "open", "o2"),
		op("HINCRBY", "minute", "revenue", "-5"), op("EXPIREAT", "hour", "60"), op("ZINCRBY", "kinds", "1", "k"),
		op("ZREMRANGEBYSCORE", "kinds", "0", "0"), op("ZINCRBY", "kinds", "-1", "k"), op("ZREMRANGEBYSCORE", "kinds", "0", "0"),
		op("SET", "x", "1"), op("SET", "x", "2"),
	})
	want := []Op{
		op("ZADD", "all", "1", "o1", "2", "o2"), op("HINCRBY", "minute", "orders", "3"), op("ZREM", "open", "o1", "o2"),
		op("HINCRBY", "minute", "revenue", "-5"), op("ZINCRBY", "kinds", "0", "k"), op("SET", "x", "1"), op("SET", "x", "2"),
		op("EXPIREAT", "minute", "60"), op("EXPIREAT", "hour", "60"), op("ZREMRANGEBYSCORE", "kinds", "0", "0"),
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestMergedKeepsCommandsShort(t *testing.T) {
	var ops []Op
	for n := range 2 * opArgs {
		ops = append(ops, Op{Cmd: "ZADD", Key: "all", Args: []string{"1", "o" + strconv.Itoa(n)}})
	}
	args := 0
	for _, op := range merged(ops) {
		if args += len(op.Args); len(op.Args) > opArgs || len(op.Args)%2 != 0 {
			t.Errorf("a command has %d arguments", len(op.Args))
		}
	}
	if args != 4*opArgs {
		t.Errorf("%d arguments of %d are left", args, 4*opArgs)
	}
}
