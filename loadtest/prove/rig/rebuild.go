package rig

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/pkg/projection/rebuild"
	"github.com/troupe-dev/troupe/pkg/taskstore"
	"github.com/troupe-dev/troupe/schemas/check"
	"github.com/troupe-dev/troupe/services/console"
	"github.com/troupe-dev/troupe/services/query"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

// rebuildWithin bounds a rebuild of the read model, with what else strikes meanwhile.
const rebuildWithin = 60 * time.Second

// Rebuild folds both read models again beside the live ones, query's and the console's. It is an error when Redis was wiped
// meanwhile: nothing was swapped.
func (r *Rig) Rebuild(ctx context.Context) (string, error) {
	var became []string
	for _, of := range []string{query.Name, console.Name} {
		text, err := r.rebuildOne(ctx, of)
		if err != nil {
			return "", fmt.Errorf("%s: %w", of, err)
		}
		became = append(became, of+": "+text)
	}
	return strings.Join(became, "; "), nil
}

// rebuildOne folds one read model again.
func (r *Rig) rebuildOne(ctx context.Context, of string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, rebuildWithin)
	defer cancel()
	var at rest.Rebuild
	err := Until(ctx, "it has begun", func() (missing string, _ error) {
		var err error
		var p *problem.Problem
		if at, err = r.Console.StartRebuild(ctx, of); err != nil && (!errors.As(err, &p) || p.Status != http.StatusConflict) {
			missing = err.Error()
		}
		return missing, nil // a conflict: one is under way
	})
	if err != nil {
		return "", err
	}
	clearing := func(p rest.RebuildPartition) bool { return p.Clearing }
	err = Until(ctx, "it has ended", func() (string, error) {
		now, err := r.Console.Rebuild(ctx, of)
		if err != nil {
			return err.Error(), nil
		}
		if at = now; at.Active || slices.ContainsFunc(at.Partitions, clearing) {
			return fmt.Sprintf("%d of %d records were folded", at.Folded, at.Of), nil
		}
		return "", nil
	})
	if err != nil {
		return "", err
	}
	for _, p := range at.Partitions {
		if p.State != string(rebuild.Swapped) {
			return "", fmt.Errorf("the rebuild of partition %d is %s", p.Partition, p.State)
		}
	}
	return fmt.Sprintf("%d partitions were swapped, %d records folded", len(at.Partitions), at.Folded), nil
}

// FoldedAnew compares every key of both read models with what a rebuild makes of the log: documents, indexes and
// counters that were written bit by bit under all the faults are those that are written at once. Nothing else may
// happen meanwhile.
func (r *Rig) FoldedAnew(ctx context.Context, found *check.Report) error {
	if err := r.foldedAll(ctx); err != nil {
		found.Violation(check.Stuck, "", "the read model does not pass the log: %v", err)
		return nil
	}
	before, err := r.readModel(ctx)
	if err != nil {
		return err
	}
	if _, err := r.Rebuild(ctx); err != nil {
		found.Violation(check.Stuck, "", "the read model cannot be folded anew: %v", err)
		return nil
	}
	after, err := r.readModel(ctx)
	if err != nil {
		return err
	}
	names := maps.Clone(before)
	maps.Copy(names, after)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if before[name] != after[name] {
			_, order, _ := strings.Cut(name, "order:")
			found.Violation(check.ReadModel, order, "%s of the read model is %.300q, folded anew %.300q",
				name, before[name], after[name])
		}
	}
	return nil
}

// foldedAll waits until both read models have passed the ends of all that they fold.
func (r *Rig) foldedAll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, rebuildWithin)
	defer cancel()
	folds := query.Behavior()
	for name, topics := range map[string][]string{
		query.Name: slices.Concat(folds.Topics, folds.Notes), console.Name: console.Topics,
	} {
		ends, err := r.Log.Ends(ctx, topics)
		if err != nil {
			return err
		}
		st := taskstore.New(r.Store, name)
		for tp, end := range ends {
			err := Until(ctx, fmt.Sprintf("%s has folded %s/%d", name, tp.Topic, tp.Partition), func() (string, error) {
				p := int(tp.Partition)
				live, err := liveCopy(ctx, r.Store, st, p)
				if err != nil {
					return "", err
				}
				at, err := r.Store.HGet(ctx, st.Key(p, live+rebuild.Meta), rebuild.FieldPosition+tp.Topic).Int64()
				if at < end {
					return fmt.Sprintf("%d of %d", at, end), ignoreNil(err)
				}
				return "", ignoreNil(err)
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// liveCopy is the name of a partition's live copy; there may be none.
func liveCopy(ctx context.Context, c *redis.Client, st *taskstore.Store, partition int) (string, error) {
	live, err := c.HGet(ctx, st.Key(partition, rebuild.Key), rebuild.FieldLive).Result()
	return live, ignoreNil(err)
}

// ignoreNil is nil where nothing was found.
func ignoreNil(err error) error {
	if errors.Is(err, redis.Nil) {
		return nil
	}
	return err
}

// readModel is every key of the live copies of both, by projection, partition and name, as a text that does not depend
// on the order of writing. Left out is what a task keeps for itself, and the list of records that could not be read,
// whose order is that of arrival.
func (r *Rig) readModel(ctx context.Context) (found map[string]string, err error) {
	found = map[string]string{}
	for _, name := range []string{query.Name, console.Name} {
		err = errors.Join(err, addReadModel(ctx, r.Store, name, found))
	}
	return found, err
}

// addReadModel adds what is live of one read model, which is named as its projection.
func addReadModel(ctx context.Context, c *redis.Client, name string, found map[string]string) (err error) {
	st := taskstore.New(c, name)
	live := make([]string, Partitions)
	for p := range live {
		if live[p], err = liveCopy(ctx, c, st, p); err != nil {
			return err
		}
	}
	return st.Scan(ctx, func(p int, rests []string) error {
		for _, key := range rests {
			rest := strings.TrimPrefix(key, live[p])
			if key == rebuild.Key || rebuild.Copy(key) != live[p] || rest == rebuild.Meta || rest == "undecodable" {
				continue
			}
			text, err := content(ctx, c, st.Key(p, key))
			if err != nil {
				return err
			}
			if text != "" {
				found[fmt.Sprintf("%s %d/%s", name, p, rest)] = text
			}
		}
		return nil
	})
}

// content is what a key holds. A counter of 0 is none, and what is gone meanwhile is nothing.
func content(ctx context.Context, c *redis.Client, key string) (string, error) {
	kind, err := c.Type(ctx, key).Result()
	if err != nil {
		return "", err
	}
	switch kind {
	case "none":
		return "", nil
	case "string":
		text, err := c.Get(ctx, key).Result()
		return text, ignoreNil(err)
	case "zset":
		members, err := c.ZRangeWithScores(ctx, key, 0, -1).Result()
		return fmt.Sprint(members), err
	case "hash":
		counters, err := c.HGetAll(ctx, key).Result()
		maps.DeleteFunc(counters, func(_, v string) bool { return v == "0" })
		return fmt.Sprint(counters), err
	}
	return "", fault.New(fault.Permanent, "key %s is a %s, which the read model has none of", key, kind)
}
