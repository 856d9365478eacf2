package task

import (
	"context"
	"log/slog"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/taskstore"
	"github.com/troupe-dev/troupe/pkg/telemetry"
)

// Config of an engine. What has no default is required.
type Config struct {
	// Name is the consumer group, the prefix of the keys, and the value of the participant attribute in metrics.
	Name  string
	Log   broker.Log
	Store *taskstore.Store
	// Inputs are the topics that are read, Own those that the tasks write: their identities are watched as well.
	Inputs, Own []string
	// Seldom are the inputs that are looked for four times a second while others bring something, since each log has its
	// price in every fetch that asks for it. Where nothing comes, the long poll listens to them as well.
	Seldom []string
	// Partitions of every topic.
	Partitions int
	// Version of what is stored: it changes whenever the meaning of that does.
	Version string
	// FromCommitted: where nothing is kept, reading begins at the offset that the group committed, not at the log's start.
	FromCommitted bool
	// FetchBytes bounds what one fetch brings of one log.
	FetchBytes int
	// CommitEvery is how often offsets are committed. LeaveWithin bounds how long leaving takes.
	CommitEvery, LeaveWithin time.Duration
	// Prepare makes or checks topics; it is tried again while its error is not of class Permanent.
	Prepare func(ctx context.Context) error
	Logger  *slog.Logger
	// Gauges are the handler's own (Handler.Measure).
	Gauges []telemetry.Metric
}

// positioned are all topics in which a task has a position.
func (cfg Config) positioned() []string { return append(append([]string{}, cfg.Own...), cfg.Inputs...) }

const (
	// CompareEvery is how often an idle task asks the store whether it is still the same one.
	CompareEvery = time.Second
	// StoreTimeout bounds one round trip to the store, or a question to the broker that the engine waits for.
	StoreTimeout = 3 * time.Second
	// SoonEvery is the least time between two round trips in which nobody waits for anything: see Soon.
	SoonEvery = 50 * time.Millisecond
	// SeldomEvery is how often inputs are looked for that seldom have something.
	SeldomEvery = 250 * time.Millisecond
	// identifyEvery is how often an instance asks which logs the topics are: so long may one that is gone be believed in.
	identifyEvery = time.Second
	// tryAgainWithin bounds the pause between two tries of what a start or a takeover needs.
	tryAgainWithin = 2 * time.Second
	// leaveStep bounds one wait for what is under way while an instance leaves.
	leaveStep = 100 * time.Millisecond
)
