package main

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
	"github.com/troupe-dev/troupe/services/query"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

// rebuildWithin bounds a rebuild of the read model, with what else strikes meanwhile.
const rebuildWithin = 60 * time.Second

// rebuild folds the read model again beside the live one. It is an error when Redis was wiped meanwhile: nothing
// was swapped.
func (s *striker) rebuild(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, rebuildWithin)
	defer cancel()
	var p *problem.Problem
	r, err := s.Console.StartRebuild(ctx)
	for err != nil && (!errors.As(err, &p) || p.Status != http.StatusConflict) { // a conflict: one is under way
		if !pause(ctx, sample) {
			return "", err
		}
		r, err = s.Console.StartRebuild(ctx)
	}
	clearing := func(p rest.RebuildPartition) bool { return p.Clearing }
	for err != nil || r.Active || slices.ContainsFunc(r.Partitions, clearing) {
		if !pause(ctx, sample) {
			return "", fmt.Errorf("%d of %d records were folded: %w", r.Folded, r.Of, errors.Join(err, ctx.Err()))
		}
		var now rest.Rebuild
		if now, err = s.Console.Rebuild(ctx); err == nil {
			r = now
		}
	}
	for _, p := range r.Partitions {
		if p.State != string(rebuild.Swapped) {
			return "", fmt.Errorf("the rebuild of partition %d is %s", p.Partition, p.State)
		}
	}
	return fmt.Sprintf("%d partitions were swapped, %d records folded", len(r.Partitions), r.Folded), nil
}

// foldedAnew compares every key of the read model with what a rebuild makes of the log: documents, indexes and
// counters that were written bit by bit under all the faults are those that are written at once. Nothing else may
// happen meanwhile.
func (s *striker) foldedAnew(ctx context.Context, found *check.Report) error {
	before, err := s.readModel(ctx)
	if err != nil {
		return err
	}
	if _, err := s.rebuild(ctx); err != nil {
		found.Violation(check.Stuck, "", "the read model cannot be folded anew: %v", err)
		return nil
	}
	after, err := s.readModel(ctx)
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

// readModel is every key of the live copies, by partition and name, as a text that does not depend on the order of
// writing. Left out is what a task keeps for itself, and the list of records that could not be read, whose order is
// that of arrival.
func (s *striker) readModel(ctx context.Context) (found map[string]string, err error) {
	c := redis.NewClient(&redis.Options{Addr: s.RedisAddr})
	defer func() { err = errors.Join(err, c.Close()) }()
	st := taskstore.New(c, query.Name)
	live := make([]string, partitions)
	for p := range live {
		live[p], err = c.HGet(ctx, st.Key(p, rebuild.Key), rebuild.FieldLive).Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return nil, err
		}
	}
	found = map[string]string{}
	err = st.Scan(ctx, func(p int, rests []string) error {
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
				found[fmt.Sprintf("%d/%s", p, rest)] = text
			}
		}
		return nil
	})
	return found, err
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
		if errors.Is(err, redis.Nil) {
			err = nil
		}
		return text, err
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
