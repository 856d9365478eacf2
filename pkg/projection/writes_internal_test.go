package projection

import (
	"reflect"
	"strconv"
	"testing"
)

func op(cmd, key string, args ...string) Op { return Op{Cmd: cmd, Key: key, Args: args} }

func named(text string) Name { return Name{Text: text} }

func TestMergedSaysTheSameInFewCommands(t *testing.T) {
	var w Writes
	for range 2 { // the second step has the memory of the first
		w.Begin("")
		w.Add(named("all"), "o1", 1)
		w.Count(named("minute"), named("orders"), 1)
		w.Expire(named("minute"), 60)
		w.Remove(named("open"), "o1")
		w.Add(Name{Text: "a", Of: "ll"}, "o3", 0)
		w.Add(named("all"), "o2", 2)
		w.Count(named("minute"), named("orders"), 2)
		w.Expire(named("minute"), 60)
		w.Remove(named("open"), "o2")
		w.Count(named("minute"), Name{Text: "rev", Of: "enue"}, -5)
		w.Expire(Name{Text: "hour", N: 7}, 60)
		w.Rank(named("kinds"), named("k"), 1)
		w.Rank(named("kinds"), named("k"), -1)
		got := w.Ops(nil)
		want := []Op{
			op("ZADD", "all", "1", "o1", "2", "o2"), op("HINCRBY", "minute", "orders", "3"), op("ZREM", "open", "o1", "o2"),
			op("ZADD", "all", "0", "o3"), op("HINCRBY", "minute", "revenue", "-5"), op("ZINCRBY", "kinds", "0", "k"),
			op("EXPIREAT", "minute", "60"), op("EXPIREAT", "hour7", "60"), op("ZREMRANGEBYSCORE", "kinds", "0", "0"),
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %v\nwant %v", got, want)
		}
	}
	w.Begin("{p:1}:~x:")
	w.Add(named("all"), "o1", 1)
	if got := w.Ops([]Op{op("SET", "x", "1")}); !reflect.DeepEqual(got, []Op{op("SET", "x", "1"), op("ZADD", "{p:1}:~x:all", "1", "o1")}) {
		t.Errorf("after others, with a prefix: %v", got)
	}
}

func TestMergedKeepsCommandsShort(t *testing.T) {
	var w Writes
	w.Begin("")
	for n := range 2 * opArgs {
		w.Add(named("all"), "o"+strconv.Itoa(n), 1)
	}
	ops := w.Ops(nil)
	if len(ops) != 4 {
		t.Errorf("%d commands, not 4", len(ops))
	}
	args := 0
	for _, op := range ops {
		if args += len(op.Args); len(op.Args) > opArgs || len(op.Args)%2 != 0 {
			t.Errorf("a command has %d arguments", len(op.Args))
		}
	}
	if args != 4*opArgs {
		t.Errorf("%d arguments of %d are left", args, 4*opArgs)
	}
}
