package main

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// records are what customers read of their orders: a hash for each in Redis, written by the steps.
type records struct {
	rdb *redis.Client

	mu      sync.Mutex
	waiting map[string]chan struct{} // by order; closed when its record was written in this process
}

// record of one order.
type record struct {
	Status  string `redis:"status"`
	Payment string `redis:"payment"`
}

// over says that nothing is left to do.
func (r record) over() bool {
	return r.Status == "confirmed" || r.Status == "cancelled" && (r.Payment == "declined" || r.Payment == "refunded")
}

// lookAgain is for what another process has written.
const lookAgain = 500 * time.Millisecond

func newRecords(rdb *redis.Client) *records {
	return &records{rdb: rdb, waiting: map[string]chan struct{}{}}
}

func recordKey(id string) string { return "order:" + id }

// begin makes the record; true while the order has not come further than that.
func (r *records) begin(ctx context.Context, id string) (bool, error) {
	if err := r.rdb.HSetNX(ctx, recordKey(id), "status", "placed").Err(); err != nil {
		return false, err
	}
	rec, err := r.get(ctx, id)
	return rec.Status == "placed", err
}

func (r *records) set(ctx context.Context, id string, pairs ...any) error {
	if err := r.rdb.HSet(ctx, recordKey(id), pairs...).Err(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.waiting[id]; c != nil {
		close(c)
		delete(r.waiting, id)
	}
	return nil
}

func (r *records) get(ctx context.Context, id string) (record, error) {
	rec := record{Payment: "pending"}
	err := r.rdb.HGetAll(ctx, recordKey(id)).Scan(&rec)
	if err != nil {
		return rec, fault.As(fault.Unavailable, err)
	}
	if rec.Status == "" {
		return rec, fault.New(fault.NotFound, "no order %s", id)
	}
	return rec, nil
}

// settled returns the record once the order is over, or as it is after a while.
func (r *records) settled(ctx context.Context, id string, within time.Duration) (record, error) {
	late := time.After(within)
	if rec, err := r.get(ctx, id); err != nil || rec.over() {
		return rec, err
	}
	for {
		written := r.written(id)
		rec, err := r.get(ctx, id)
		if err != nil || rec.over() {
			return rec, err
		}
		select {
		case <-written:
		case <-time.After(lookAgain):
		case <-late:
			return rec, nil
		case <-ctx.Done():
			return rec, ctx.Err()
		}
	}
}

// written is closed when the record is written next.
func (r *records) written(id string) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.waiting[id]
	if c == nil {
		c = make(chan struct{})
		r.waiting[id] = c
	}
	return c
}
