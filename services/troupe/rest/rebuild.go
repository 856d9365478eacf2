package rest

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
)

// Rebuild is the last rebuild of the read model.
type Rebuild struct {
	Active     bool               `json:"active"`
	Folded     int64              `json:"folded"`
	Of         int64              `json:"of"`
	Partitions []RebuildPartition `json:"partitions"`
	Raw        json.RawMessage    `json:"-"`
}

// RebuildPartition is that of one partition. State is none, requested, folding, swapped or cancelled.
type RebuildPartition struct {
	Partition int    `json:"partition"`
	State     string `json:"state"`
	RequestID string `json:"request_id"`
	Folded    int64  `json:"folded"`
	Of        int64  `json:"of"`
	Clearing  bool   `json:"clearing"`
}

// Own returns the console with whose rebuilds those of its own read model are meant, and not query's.
func (c *Console) Own() *Console {
	own := *c
	own.of = "?of=console"
	return &own
}

// Rebuild reads how far the rebuild of the read model is.
func (c *Console) Rebuild(ctx context.Context) (Rebuild, error) {
	return c.rebuild(ctx, http.MethodGet, nil)
}

// StartRebuild begins one.
func (c *Console) StartRebuild(ctx context.Context) (Rebuild, error) {
	return c.rebuild(ctx, http.MethodPost, struct{}{})
}

// CancelRebuild gives up what is under way.
func (c *Console) CancelRebuild(ctx context.Context) (Rebuild, error) {
	return c.rebuild(ctx, http.MethodDelete, nil)
}

func (c *Console) rebuild(ctx context.Context, method string, body any) (r Rebuild, err error) {
	at := Console{base: strings.TrimSuffix(c.base, "/dead-letters"), door: c.door}
	r.Raw, err = at.send(ctx, method, "/rebuild"+c.of, body, noWait, &r)
	return r, err
}
