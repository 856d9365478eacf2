package task

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
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
)

// Engine runs all tasks of one generation of one instance. Its one goroutine owns all of it; fetches, commits and what
// the handler begins run beside it (Go) and report to it (Post, Wake).
type Engine[T Task] struct {
	*Instance
	gen   broker.Generation
	h     Handler[T]
	ctx   context.Context // of the tasks; outlives the generation's until the engine has left
	tasks []T             // by partition
	added []int           // partitions that are to be taken over

	cancel context.CancelFunc

	beside sync.WaitGroup
	inbox  chan func()   // what goroutines brought, to be taken in by the engine's
	asks   chan func()   // what others want done between two steps
	awake  chan struct{} // holds one: the handler has something to take in
	ended  chan struct{} // closed when nothing is taken in any more

	fetching bool
	asked    map[broker.TopicPartition]*Input // what the last fetch was for
	seldomAt time.Time                        // when the seldom inputs were last looked for
	fetchErr error

	topics  atomic.Pointer[Logs] // as they are now; nil: nobody asked since
	missing string               // a topic that was deleted; empty: none
	refold  map[int]bool         // partitions whose store is to be emptied at the next claim

	soonAt time.Time // when what nobody waits for may be written again

	committing bool
	refused    bool // the last commit was
	commitAt   time.Time
	stored     map[broker.TopicPartition]int64 // committed in this generation
	over       bool                            // the group said so of the generation
	leaving    bool
}
