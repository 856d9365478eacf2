package projection

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// pass is a look through all keys of the projection, in the background: one at a time for all tasks of an instance, since it
// costs the same for one partition as for all.
type pass struct {
	busy bool
	at   time.Time // not before
}

// inspect starts a pass when one is due: to compare spaces that are level, or else to delete old ones.
func (c *cycle[D]) inspect(ctx context.Context, wg *sync.WaitGroup) {
	if c.pass.busy || time.Now().Before(c.pass.at) {
		return
	}
	compared, old := map[int]*comparison{}, map[int]*clearing{}
	for _, t := range c.tasks {
		switch {
		case !t.taken:
		case t.level && t.forgot && t.found == nil && t.mixed == "" && len(t.refold) == 0:
			compared[t.partition] = &comparison{
				owner: t.owner, refolds: t.refolds, liveName: t.name, besideName: t.beside.name,
			}
		case len(t.old) > 0 && len(t.cleared) == 0 && t.beside == nil:
			old[t.partition] = &clearing{owner: t.owner, names: slices.Clone(t.old)}
		}
	}
	switch {
	case len(compared) > 0:
		c.background(ctx, wg, func() error { return c.compare(ctx, compared) }, func() { c.compared(compared) })
	case len(old) > 0:
		c.background(ctx, wg, func() error { return c.clear(ctx, old) }, func() { c.wasCleared(old) })
	}
}

// background runs a pass; done hears in the cycle that all of it was seen.
func (c *cycle[D]) background(ctx context.Context, wg *sync.WaitGroup, run func() error, done func()) {
	c.pass.busy = true
	wg.Go(func() {
		err := run()
		c.news <- func() {
			c.pass.busy = false
			switch {
			case ctx.Err() != nil:
			case err != nil:
				c.watch.passFailed(err)
				c.pass.at = time.Now().Add(compareEvery)
			default:
				done()
			}
		}
	})
}

// compared hands each task what was found, if it is still the same and what was compared is still there.
func (c *cycle[D]) compared(found map[int]*comparison) {
	for _, t := range c.tasks {
		f := found[t.partition]
		if f != nil && t.taken && t.owner == f.owner && t.level &&
			t.beside.name == f.besideName && t.refolds == f.refolds {
			t.found = f
		}
	}
}

// clearing is what is to be deleted of a task.
type clearing struct {
	owner string
	names []string
	moved bool // somebody else owns the task, or one of the spaces is in use
}

// remove deletes keys of a space while the task has this owner and the space is not in use. KEYS[1] is meta; ARGV: owner, space.
var remove = redis.NewScript(`
local m = redis.call('HMGET', KEYS[1], 'owner', 'space', 'beside')
if m[1] ~= ARGV[1] or (m[2] or '') == ARGV[2] or m[3] == ARGV[2] then return 1 end
for i = 2, #KEYS do redis.call('UNLINK', KEYS[i]) end
return 0`)

// clear deletes the keys of old spaces, in steps as large as what one scan returns.
func (c *cycle[D]) clear(ctx context.Context, old map[int]*clearing) error {
	return c.store.Scan(ctx, func(partition int, rests []string) error {
		of := old[partition]
		if of == nil || of.moved {
			return nil
		}
		meta := c.store.Key(partition, keyMeta)
		for _, name := range of.names {
			keys := []string{meta}
			for _, rest := range rests {
				if spaceOf(rest) == name && !reserved(rest) {
					keys = append(keys, c.store.Key(partition, rest))
				}
			}
			if len(keys) == 1 {
				continue
			}
			n, err := remove.Run(ctx, c.cfg.Redis, keys, of.owner, name).Int()
			if err != nil {
				return unavailable(err)
			}
			if of.moved = n != 0; !of.moved {
				c.watch.cleared(len(keys) - 1)
			}
		}
		return nil
	})
}

func (c *cycle[D]) wasCleared(old map[int]*clearing) {
	for _, t := range c.tasks {
		if of := old[t.partition]; of != nil && !of.moved && t.taken && t.owner == of.owner {
			t.cleared = of.names
		}
	}
}

// spaceOf is the name of the space that a key, without its hash tag, belongs to.
func spaceOf(rest string) string {
	if strings.HasPrefix(rest, "~") {
		if i := strings.IndexByte(rest, ':'); i > 0 {
			return rest[:i+1]
		}
	}
	return ""
}

// reserved keys belong to no space.
func reserved(rest string) bool { return rest == keyMeta || rest == keyRebuild }
