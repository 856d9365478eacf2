package storetest

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/taskstore"
)

// Suite is the contract of the store: who owns a task and which change came last decide, alone.
func Suite(t *testing.T, rdb redis.UniversalClient) {
	st := taskstore.New(rdb, "suite")
	ctx := t.Context()
	set := func(partition int, value string) []taskstore.Op {
		return []taskstore.Op{{Cmd: "HSET", Key: st.Key(partition, "order:1"), Args: []string{"state", value}}}
	}
	state := func(t *testing.T, partition int) string {
		t.Helper()
		h, err := st.Hashes(ctx, []string{st.Key(partition, "order:1")})
		if err != nil {
			t.Fatal(err)
		}
		return h[0]["state"]
	}
	apply := func(t *testing.T, c taskstore.Change) taskstore.Verdict {
		t.Helper()
		out := st.Apply(ctx, []taskstore.Change{c})
		if out[0].Err != nil {
			t.Fatal(out[0].Err)
		}
		return out[0].Verdict
	}
	claim := func(t *testing.T, partition int, owner string) taskstore.Meta {
		t.Helper()
		m, err := st.Claim(ctx, partition, owner)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	check := func(t *testing.T, what string, got, want any) {
		t.Helper()
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: got %v, want %v", what, got, want)
		}
	}

	t.Run("the owner's changes happen in turn", func(t *testing.T) {
		m := claim(t, 0, "a")
		check(t, "seq of a new task", m.Seq, 0)
		for i := range int64(3) {
			check(t, "verdict",
				apply(t, taskstore.Change{Partition: 0,
					Owner: "a", Seq: i, Ops: set(0, strconv.FormatInt(i, 10))}), taskstore.Applied)
		}
		check(t, "state", state(t, 0), "2")
		check(t, "seq", claim(t, 0, "a2").Seq, 3)
	})
	t.Run("whoever held the task before is fenced", func(t *testing.T) {
		claim(t, 1, "a")
		claim(t, 1, "b")
		check(t, "verdict", apply(t, taskstore.Change{Partition: 1, Owner: "a", Ops: set(1, "zombie")}), taskstore.Fenced)
		check(t, "a compare alone", apply(t, taskstore.Change{Partition: 1, Owner: "a"}), taskstore.Fenced)
		check(t, "state", state(t, 1), "")
		check(t, "the new owner", apply(t, taskstore.Change{Partition: 1, Owner: "b", Ops: set(1, "b")}), taskstore.Applied)
	})
	t.Run("a store that forgot or went back is lost", func(t *testing.T) {
		claim(t, 2, "a")
		for i := range int64(2) {
			check(t, "verdict",
				apply(t, taskstore.Change{Partition: 2, Owner: "a", Seq: i, Ops: set(2, "x")}), taskstore.Applied)
		}
		check(t, "went back",
			apply(t, taskstore.Change{Partition: 2, Owner: "a", Seq: 5, Ops: set(2, "y")}), taskstore.Lost)
		check(t, "one ahead, not sent before",
			apply(t, taskstore.Change{Partition: 2, Owner: "a", Seq: 1, Ops: set(2, "y")}), taskstore.Lost)
		if err := rdb.Del(ctx, st.Key(2, "meta")).Err(); err != nil {
			t.Fatal(err)
		}
		check(t, "wiped", apply(t, taskstore.Change{Partition: 2, Owner: "a", Seq: 2}), taskstore.Lost)
	})
	t.Run("a change whose answer was lost happens once", func(t *testing.T) {
		claim(t, 3, "a")
		push := taskstore.Change{Partition: 3, Owner: "a",
			Ops: []taskstore.Op{{Cmd: "RPUSH", Key: st.Key(3, "outbox"), Args: []string{"fact"}}}}
		check(t, "first", apply(t, push), taskstore.Applied)
		push.Retry = true
		check(t, "again", apply(t, push), taskstore.Applied)
		list, err := st.List(ctx, st.Key(3, "outbox"))
		check(t, "outbox", fmt.Sprint(list, err), "[fact] <nil>")
	})
	t.Run("a reset leaves what is to be kept, and no other task's", func(t *testing.T) {
		claim(t, 4, "a")
		claim(t, 44, "other")
		check(t, "verdict", apply(t, taskstore.Change{Partition: 4, Owner: "a", Ops: set(4, "old")}), taskstore.Applied)
		check(t, "verdict",
			apply(t, taskstore.Change{Partition: 44, Owner: "other", Ops: set(44, "stays")}), taskstore.Applied)
		if err := rdb.Set(ctx, st.Key(4, "marker:1"), "m", 0).Err(); err != nil {
			t.Fatal(err)
		}
		seqs, v, err := st.Reset(ctx, "1.2", map[int]taskstore.Emptied{4: {Owner: "a", Spared: []string{"marker:"}}})
		check(t, "reset", fmt.Sprint(v, err), "applied <nil>")
		check(t, "state", state(t, 4), "")
		check(t, "marker", rdb.Get(ctx, st.Key(4, "marker:1")).Val(), "m")
		check(t, "other task", state(t, 44), "stays")
		m := claim(t, 4, "b")
		check(t, "meta", fmt.Sprintf("%d %s", m.Seq, m.FoldVersion), fmt.Sprintf("%d 1.2", seqs[4]))
		_, v, err = st.Reset(ctx, "1.3", map[int]taskstore.Emptied{4: {Owner: "a"}})
		check(t, "reset by a zombie", fmt.Sprint(v, err), "fenced <nil>")
	})
	t.Run("a store taken back into a reset, or to before it, is found to be no successor", func(t *testing.T) {
		had := claim(t, 7, "a").Seq
		seqs, v, err := st.Reset(ctx, "1", map[int]taskstore.Emptied{7: {Owner: "a"}})
		check(t, "reset", fmt.Sprint(v, err), "applied <nil>")
		for before := had; before < seqs[7]; before++ {
			if err := rdb.HSet(ctx, st.Key(7, "meta"), "seq", before).Err(); err != nil {
				t.Fatal(err)
			}
			check(t, "verdict",
				apply(t, taskstore.Change{Partition: 7, Owner: "a", Seq: seqs[7], Ops: set(7, "x")}), taskstore.Lost)
		}
		check(t, "numbers of its own", seqs[7]-had, 2) // of the store without its keys, and of the one that is whole
	})
	t.Run("a store that misses a key of the witness is lost", func(t *testing.T) {
		kept := []string{st.Key(8, "order:1"), st.Key(8, "outbox"), st.Key(8, "timers")}
		lost := func(seq int64, missing string) {
			t.Helper()
			if err := rdb.Del(ctx, st.Key(8, missing)).Err(); err != nil {
				t.Fatal(err)
			}
			check(t, missing+", compared",
				apply(t, taskstore.Change{Partition: 8, Owner: "a", Seq: seq, Kept: kept}), taskstore.Lost)
			check(t, missing+", changed",
				apply(t, taskstore.Change{Partition: 8, Owner: "a", Seq: seq, Kept: kept, Ops: set(8, "y")}), taskstore.Lost)
		}
		claim(t, 8, "a")
		check(t, "nothing yet", apply(t, taskstore.Change{Partition: 8, Owner: "a", Kept: kept}), taskstore.Applied)
		push := taskstore.Op{Cmd: "RPUSH", Key: kept[1], Args: []string{"fact"}}
		check(t, "verdict",
			apply(t, taskstore.Change{Partition: 8, Owner: "a", Kept: kept, Ops: append(set(8, "x"), push)}), taskstore.Applied)
		check(t, "whole", apply(t, taskstore.Change{Partition: 8, Owner: "a", Seq: 1, Kept: kept}), taskstore.Applied)
		lost(1, "outbox")
		check(t, "state", state(t, 8), "x")
		claim(t, 8, "a")
		lost(1, "order:1") // found so by whoever claims it
		_, v, err := st.Reset(ctx, "1", map[int]taskstore.Emptied{8: {Owner: "a"}})
		check(t, "reset", fmt.Sprint(v, err), "applied <nil>")
		check(t, "whole", apply(t, taskstore.Change{Partition: 8, Owner: "a", Seq: 3, Kept: kept}), taskstore.Applied)
	})
	t.Run("many changes share a pipeline, each with its verdict", func(t *testing.T) {
		claim(t, 5, "a")
		claim(t, 6, "b")
		out := st.Apply(ctx, []taskstore.Change{
			{Partition: 5, Owner: "a", Ops: set(5, "1")}, {Partition: 6, Owner: "a", Ops: set(6, "1")},
		})
		check(t, "verdicts", fmt.Sprint(out[0].Verdict, out[1].Verdict), "applied fenced")
	})
}
