package control

import (
	"context"
	"net/http"
)

// MoveLeaders gives every partition a leader drawn anew. Conflict with one broker only (troupe play --brokers 3 has three).
func (c *Client) MoveLeaders(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "/broker/leaders/move", nil, nil)
}

// MoveCoordinators gives every consumer group another coordinator. Conflict with one broker only.
func (c *Client) MoveCoordinators(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "/broker/coordinators/move", nil, nil)
}

// SnapshotRedis remembers what Redis holds at one moment, in the place of the snapshot before.
func (c *Client) SnapshotRedis(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "/redis/snapshot", nil, nil)
}

// RestoreRedis puts the snapshot in the place of what Redis holds; keys go on to expire from then. Conflict when there is none.
func (c *Client) RestoreRedis(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "/redis/restore", nil, nil)
}
