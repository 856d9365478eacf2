package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/services/console/internal/letters"
)

// Bounds of jobs. Finished ones are remembered up to maxKept, the newest.
const (
	maxRunning = 8
	maxKept    = 100
)

// Jobs are what operators want done with many chains. They live in this process and end with it.
type Jobs struct {
	wg     sync.WaitGroup
	mu     sync.Mutex
	ctx    context.Context // of Run; nil: it does not run
	kept   []*job          // the oldest first
	closed bool
}

// NewJobs returns the place of all jobs; none is taken before Run runs.
func NewJobs() *Jobs { return &Jobs{} }

// Run lets jobs run until ctx ends; then it cancels them and waits for them.
func (j *Jobs) Run(ctx context.Context) error {
	j.mu.Lock()
	j.ctx = ctx
	j.mu.Unlock()
	<-ctx.Done()
	j.mu.Lock()
	j.closed = true
	j.mu.Unlock()
	j.wg.Wait()
	return nil
}

// job is one of them.
type job struct {
	id      string
	filter  letters.Waiting
	wish    wish
	rate    int
	started time.Time
	cancel  context.CancelFunc
	ended   chan struct{} // closed at the end

	mu    sync.Mutex
	count counts
	state JobState
	end   time.Time
	err   error
}

// counts of chains.
type counts struct{ total, done, failed, passedOver, waiting int64 }

// start runs a new job. A job with the same filter must not run, nor too many at once.
func (j *Jobs) start(f letters.Waiting, w wish, rate int, total int64, run func(context.Context, *job) error) (*job, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.ctx == nil || j.closed || j.ctx.Err() != nil {
		return nil, fault.Later(time.Second, "no jobs are taken: starting or stopping")
	}
	running := 0
	for _, o := range j.kept {
		if o.now().state != JobStateRunning {
			continue
		}
		if running++; o.filter == f {
			return nil, problem.New(http.StatusConflict, "job-running", "Job running", fmt.Sprintf("job %s runs with this filter", o.id))
		}
	}
	if running >= maxRunning {
		return nil, fault.Later(10*time.Second, "%w", problem.New(http.StatusServiceUnavailable, problem.SlugUnavailable,
			"Temporarily unavailable", fmt.Sprintf("there are %d jobs running, and no more are taken", running)))
	}
	if i := slices.IndexFunc(j.kept, func(o *job) bool { return o.now().state != JobStateRunning }); len(j.kept) >= maxKept && i >= 0 {
		j.kept = slices.Delete(j.kept, i, i+1)
	}
	ctx, cancel := context.WithCancel(j.ctx)
	n := &job{
		id: uuid.NewString(), filter: f, wish: w, rate: rate, started: time.Now().UTC(), cancel: cancel, ended: make(chan struct{}),
		state: JobStateRunning, count: counts{total: total},
	}
	j.kept = append(j.kept, n)
	j.wg.Go(func() {
		defer cancel()
		n.finish(ctx, run(ctx, n))
	})
	return n, nil
}

func (j *Jobs) find(id string) (*job, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, o := range j.kept {
		if o.id == id {
			return o, nil
		}
	}
	return nil, fault.New(fault.NotFound, "this process has no job %s, or does not remember it any more", id)
}

func (n *job) finish(ctx context.Context, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	defer close(n.ended)
	n.end = time.Now().UTC()
	switch {
	case ctx.Err() != nil:
		n.state = JobStateCancelled
	case err != nil:
		n.state, n.err = JobStateBroken, err
	default:
		n.state = JobStateFinished
	}
}

// add counts; more may be negative.
func (n *job) add(more counts) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.count.done += more.done
	n.count.failed += more.failed
	n.count.passedOver += more.passedOver
	n.count.waiting += more.waiting
}

// snapshot of a job.
type snapshot struct {
	count counts
	state JobState
	end   time.Time
	err   error
}

func (n *job) now() snapshot {
	n.mu.Lock()
	defer n.mu.Unlock()
	return snapshot{n.count, n.state, n.end, n.err}
}

// shown shows a job.
func (n *job) shown() Job {
	s := n.now()
	shown := Job{
		ID: n.id, Action: JobAction(action(n.wish.action)), State: s.state, Participant: n.filter.Participant, Class: n.filter.Class,
		Type: n.filter.Type, OrderID: n.filter.Order, By: n.wish.by, Reason: n.wish.reason, Total: s.count.total, Done: s.count.done,
		Failed: s.count.failed, PassedOver: s.count.passedOver, Waiting: s.count.waiting, StartedAt: n.started, EndedAt: s.end,
	}
	if s.err != nil {
		shown.Error = "the read model or the log does not answer"
		if fault.ClassOf(s.err) != fault.Unavailable {
			shown.Error = "it failed on our side"
		}
	}
	return shown
}

// discards says whether letters of chains are taken out one by one.
func (w wish) discards() bool { return w.action == deadletter.Discard }
