package control

import (
	"context"
	"net/http"
	"time"
)

// Fault makes the embedded broker fail or delay requests of one kind. It ends by itself.
type Fault struct {
	// API is the kind: produce, fetch, offset_commit, offset_fetch, list_offsets, metadata, find_coordinator, join_group, sync_group
	// or heartbeat.
	API string `json:"api"`
	// Topic is the one that an error is about; empty: all. Not with a delay.
	Topic string `json:"topic,omitempty"`
	// Error answers with this error, by Kafka's name, such as NOT_LEADER_FOR_PARTITION. The broker does nothing, except that after
	// REQUEST_TIMED_OUT to a produce request the records are in the log. Empty: none.
	Error string `json:"error,omitempty"`
	// DelayMS is how many milliseconds a request waits, up to 60,000.
	DelayMS int `json:"delay_ms,omitempty"`
	// Percent of the requests are hit, 1 to 100. 0: all.
	Percent int `json:"percent,omitempty"`
	// ResetAfterS ends the fault after so many seconds, 1 to 600. 0: 60.
	ResetAfterS int `json:"reset_after_s,omitempty"`
}

// FaultState is a fault at work.
type FaultState struct {
	Fault
	// Hits is how many requests it has hit.
	Hits int `json:"hits"`
	// ResetsAt is when it ends.
	ResetsAt time.Time `json:"resets_at"`
}

// FaultList is the body of PUT /broker/faults.
type FaultList struct {
	Faults []Fault `json:"faults"`
}

// FaultStates is the answer of GET and PUT /broker/faults.
type FaultStates struct {
	Faults []FaultState `json:"faults"`
}

// SetFaults replaces the embedded broker's faults; none ends them. Invalid names the field at fault; Conflict: the playground has no
// embedded broker.
func (c *Client) SetFaults(ctx context.Context, faults ...Fault) ([]FaultState, error) {
	var s FaultStates
	err := c.call(ctx, http.MethodPut, "/broker/faults", FaultList{faults}, &s)
	return s.Faults, err
}

// Faults lists the embedded broker's faults that have not ended.
func (c *Client) Faults(ctx context.Context) ([]FaultState, error) {
	var s FaultStates
	err := c.call(ctx, http.MethodGet, "/broker/faults", nil, &s)
	return s.Faults, err
}

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
