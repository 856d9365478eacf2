package rebuild

import (
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/taskstore/storetest"
)

func TestWhatAnOwnerMakesOfARequest(t *testing.T) {
	want := func(id string, cancel bool) request { return request{ID: id, Cancel: cancel} }
	for name, c := range map[string]struct {
		before  entry
		stale   bool
		changed bool
		state   State
		id      string
		shadow  string // "new": one that was not there
	}{
		"nothing":                     {entry{}, false, false, "", "", ""},
		"asked":                       {entry{want: want("a", false)}, false, true, Folding, "a", "new"},
		"seen already":                {entry{want: want("a", false), is: Status{ID: "a", State: Swapped}}, false, false, Swapped, "a", ""},
		"joins":                       {entry{want: want("b", false), is: Status{ID: "a", State: Folding}, shadow: "~x:"}, false, true, Folding, "b", "~x:"},
		"cancelled":                   {entry{want: want("a", true), is: Status{ID: "a", State: Folding}, shadow: "~x:"}, false, true, Cancelled, "a", ""},
		"cancelled before it is seen": {entry{want: want("b", true), is: Status{ID: "a", State: Swapped}}, false, true, Cancelled, "b", ""},
		"cancelled twice":             {entry{want: want("a", true), is: Status{ID: "a", State: Cancelled}}, false, false, Cancelled, "a", ""},
		"by itself":                   {entry{is: Status{State: Swapped}}, true, true, Folding, "", "new"},
		"by itself, under way":        {entry{is: Status{State: Folding, Release: true}, shadow: "~x:"}, true, false, Folding, "", "~x:"},
		"by itself is not cancelled": {entry{want: want("a", true), is: Status{ID: "a", State: Folding, Release: true}, shadow: "~x:"}, true, false,
			Folding, "a", "~x:"},
	} {
		after, changed := c.before.next(c.stale)
		fresh := c.shadow == "new" && after.shadow != "" && after.shadow == Copy(after.shadow+Meta)
		if changed != c.changed || after.is.State != c.state || after.is.ID != c.id || after.shadow != c.shadow && !fresh {
			t.Errorf("%s: %v %+v", name, changed, after)
		}
		if dropped := c.before.shadow != "" && after.shadow == ""; dropped != (after.clear != "") {
			t.Errorf("%s: to be cleared: %q", name, after.clear)
		}
	}
}

// stored is a partition with a live copy and a shadow that has caught up.
func stored(t *testing.T, rdb redis.UniversalClient) (keys []string) {
	t.Helper()
	keys = []string{"{p:0}:" + Key, "{p:0}:" + Meta, "{p:0}:~x:" + Meta}
	rdb.Del(t.Context(), keys...)
	rdb.HSet(t.Context(), keys[0], fieldShadow, "~x:")
	rdb.HSet(t.Context(), keys[1], "owner", "me", FieldPosition+"a", 7, FieldPosition+"b", 3)
	rdb.HSet(t.Context(), keys[2], FieldVersion, "2", FieldPosition+"a", 7, FieldPosition+"b", 4, FieldGoal+"a", 5, FieldGoal+"b", 4)
	return keys
}

// The pointer moves only to a copy that is whole and nowhere behind, and only by who owns what is live.
func TestOnlyWhatHasCaughtUpIsSwapped(t *testing.T) {
	rdb := storetest.Fresh(t)
	for name, c := range map[string]struct {
		spoil func(keys []string)
		moves bool
	}{
		"caught up":          {func([]string) {}, true},
		"ahead":              {func(k []string) { rdb.HSet(t.Context(), k[2], FieldPosition+"a", 9) }, true},
		"behind in a topic":  {func(k []string) { rdb.HSet(t.Context(), k[1], FieldPosition+"b", 5) }, false},
		"not whole":          {func(k []string) { rdb.HSet(t.Context(), k[2], FieldGoal+"a", 8) }, false},
		"of another version": {func(k []string) { rdb.HSet(t.Context(), k[2], FieldVersion, "1") }, false},
		"wiped":              {func(k []string) { rdb.Del(t.Context(), k[2]) }, false},
		"another shadow":     {func(k []string) { rdb.HSet(t.Context(), k[0], fieldShadow, "~y:") }, false},
		"another owner":      {func(k []string) { rdb.HSet(t.Context(), k[1], "owner", "they") }, false},
	} {
		keys := stored(t, rdb)
		c.spoil(keys)
		moved, err := swap.Run(t.Context(), rdb, keys, "me", "~x:", "2", "{}", "token", "a", "b").Bool()
		if err != nil || moved != c.moves {
			t.Errorf("%s: %v %v", name, moved, err)
		}
		live := rdb.HGet(t.Context(), keys[0], FieldLive).Val()
		if there := rdb.Exists(t.Context(), keys[1]).Val() == 1; there == c.moves || (live == "~x:") != c.moves {
			t.Errorf("%s: live is %q, its old meta there %v", name, live, there)
		}
	}
}

// Nobody deletes what is in use, and nobody forgets a copy that was dropped while others were cleared.
func TestOnlyUnusedCopiesAreCleared(t *testing.T) {
	rdb := storetest.Fresh(t)
	entry := "{p:0}:" + Key
	for _, c := range []struct {
		live, shadow, name string
		deleted            int64
	}{
		{"", "", "", 0}, {"", "~x:", "~x:", 0}, {"~x:", "", "~x:", 0}, {"", "", "~x:", 1}, {"~x:", "", "", 1}, {"~x:", "~y:", "~z:", 1},
	} {
		rdb.HSet(t.Context(), entry, FieldLive, c.live, fieldShadow, c.shadow)
		key := "{p:0}:" + c.name + "order:o"
		rdb.Set(t.Context(), key, "o", 0)
		if n, err := remove.Run(t.Context(), rdb, []string{entry, key}, c.name).Int64(); n != c.deleted || err != nil {
			t.Errorf("%+v: %d %v", c, n, err)
		}
	}
	rdb.HSet(t.Context(), entry, FieldClear, "newer")
	for _, token := range []string{"older", "newer"} {
		if err := cleared.Run(t.Context(), rdb, []string{entry}, token).Err(); err != nil {
			t.Fatal(err)
		}
		if left := rdb.HGet(t.Context(), entry, FieldClear).Val(); (left == "") != (token == "newer") {
			t.Errorf("after %s: %q", token, left)
		}
	}
}
