package console

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/services/query/internal/readmodel"
)

const (
	defaultRate = 50 // orders a second
	// chainsAtOnce is how many chains are read in one look-up.
	chainsAtOnce = 100
	// inFlight bounds the chains that a job has asked for and not heard of.
	inFlight = 256
	// answerWithin is how long a job waits for one chain; then it counts as waiting and the job goes on.
	answerWithin = time.Minute
	// outageWithin is how long a job waits for what does not answer.
	outageWithin = time.Minute
)

// RedriveAll implements POST /api/dead-letters/redrive.
func (d door) RedriveAll(ctx context.Context, req RedriveAllRequestObject) (RedriveAllResponseObject, error) {
	b := req.Body
	return d.bulk(ctx, bulk{
		filter: readmodel.Waiting{Participant: b.Participant, Class: b.Class, Type: b.Type, Order: b.OrderID}, all: b.All, dryRun: b.DryRun,
		rate: int(b.Rate), limit: int64(b.Limit), wish: wish{action: deadletter.Redrive, by: actor(ctx, b.By), reason: b.Reason, force: b.Force},
	})
}

// DiscardAll implements POST /api/dead-letters/discard.
func (d door) DiscardAll(ctx context.Context, req DiscardAllRequestObject) (DiscardAllResponseObject, error) {
	b := req.Body
	return d.bulk(ctx, bulk{
		filter: readmodel.Waiting{Participant: b.Participant, Class: b.Class, Type: b.Type, Order: b.OrderID}, all: b.All, dryRun: b.DryRun,
		rate: int(b.Rate), limit: int64(b.Limit), wish: wish{action: deadletter.Discard, by: actor(ctx, b.By), reason: b.Reason},
	})
}

// bulk is a wish for many chains.
type bulk struct {
	filter      readmodel.Waiting
	all, dryRun bool
	rate        int
	limit       int64
	wish        wish
}

func (d door) bulk(ctx context.Context, b bulk) (bulkAnswer, error) {
	if b.filter == (readmodel.Waiting{}) && !b.all {
		return bulkAnswer{}, problem.New(http.StatusUnprocessableEntity, "empty-filter", "Empty filter", "say all: true to mean everything",
			problem.Field{Field: "/all", Detail: "must be true when there is no filter"})
	}
	if b.dryRun {
		run, err := d.dryRun(ctx, b)
		return bulkAnswer{http.StatusOK, "", run}, err
	}
	groups, err := d.model.Groups(ctx, b.filter)
	if err != nil {
		return bulkAnswer{}, err
	}
	var total int64
	for _, g := range groups {
		total += g.Orders
	}
	if b.limit > 0 {
		total = min(total, b.limit)
	}
	n, err := d.jobs.start(b.filter, b.wish, cmp.Or(b.rate, defaultRate), total, d.run)
	if err != nil {
		return bulkAnswer{}, err
	}
	return bulkAnswer{http.StatusAccepted, "/api/dead-letters/jobs/" + n.id, n.shown()}, nil
}

// run takes the chains of a job, those that wait longest first, each once: a chain that fails stays where it is in the list, and
// one whose head came out stands further back.
func (d door) run(ctx context.Context, n *job) error {
	var asked sync.WaitGroup
	defer asked.Wait()
	slots := make(chan struct{}, inFlight)
	pace := time.NewTicker(time.Second / time.Duration(n.rate))
	defer pace.Stop()
	err := d.each(ctx, n.filter, n.now().count.total, func(c readmodel.Chain) error {
		w := n.wish
		if head := c.Head(); head != nil && w.discards() {
			w.letter = head.ID
		}
		if w.refused(c) != nil {
			n.add(counts{passedOver: 1})
			return nil
		}
		if !receive(ctx, pace.C) || !send(ctx, slots) {
			return ctx.Err()
		}
		n.add(counts{waiting: 1})
		asked.Go(func() {
			defer func() { <-slots }()
			n.add(d.one(ctx, c, w))
		})
		return nil
	})
	asked.Wait()
	s := n.now()
	slog.InfoContext(ctx, "dead letters in bulk", "action", action(n.wish.action), "job", n.id, "done", s.count.done, "failed", s.count.failed,
		"passed_over", s.count.passedOver, "waiting", s.count.waiting)
	return err
}

func receive(ctx context.Context, c <-chan time.Time) bool {
	select {
	case <-c:
		return true
	case <-ctx.Done():
		return false
	}
}

func send(ctx context.Context, c chan<- struct{}) bool {
	select {
	case c <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// one puts a wish to one chain and says what its outcome changes in the counts.
func (d door) one(ctx context.Context, c readmodel.Chain, w wish) counts {
	var a readmodel.Answer
	err := outlast(ctx, func() error {
		req, err := d.request(ctx, c, w)
		if err != nil {
			return err
		}
		return outlast(ctx, func() error { // the same request: it does no harm twice
			if err := d.publish(ctx, c, req); err != nil {
				return err
			}
			var err error
			a, _, err = d.await(ctx, req.ID, c, answerWithin)
			return err
		})
	})
	switch {
	case err != nil && ctx.Err() == nil:
		return counts{waiting: -1, failed: 1}
	case a.State() == readmodel.StateDone:
		return counts{waiting: -1, done: 1}
	case a.State() == readmodel.StateWaiting:
		return counts{}
	}
	return counts{waiting: -1, failed: 1}
}

// each calls f with up to most chains that pass, each once, those that wait longest first.
func (d door) each(ctx context.Context, filter readmodel.Waiting, most int64, f func(readmodel.Chain) error) error {
	type place struct {
		id        string
		partition int
	}
	seen := map[place]bool{}
	var after readmodel.Cursor
	for {
		var chains []readmodel.WaitingChain
		err := outlast(ctx, func() (err error) {
			chains, err = d.model.Chains(ctx, filter, after, chainsAtOnce)
			return err
		})
		if err != nil {
			return err
		}
		for _, c := range chains {
			after = c.Place
			at := place{c.ID(), c.Partition}
			if int64(len(seen)) == most {
				return nil
			}
			if seen[at] {
				continue
			}
			seen[at] = true
			if err := f(c.Chain); err != nil {
				return err
			}
		}
		if len(chains) < chainsAtOnce {
			return nil
		}
	}
}

// outlast calls f again while it is Unavailable, for a minute.
func outlast(ctx context.Context, f func() error) error {
	began := time.Now()
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		err := f()
		if fault.ClassOf(err) != fault.Unavailable || time.Since(began) > outageWithin {
			return err
		}
		t := time.NewTimer(pause)
		if !receive(ctx, t.C) {
			t.Stop()
			return err
		}
	}
}

// GetJob implements GET /api/dead-letters/jobs/{job_id}.
func (d door) GetJob(_ context.Context, req GetJobRequestObject) (GetJobResponseObject, error) {
	n, err := d.jobs.find(req.JobID)
	if err != nil {
		return nil, err
	}
	return bulkAnswer{http.StatusOK, "", n.shown()}, nil
}

// CancelJob implements DELETE /api/dead-letters/jobs/{job_id}.
func (d door) CancelJob(ctx context.Context, req CancelJobRequestObject) (CancelJobResponseObject, error) {
	n, err := d.jobs.find(req.JobID)
	if err != nil {
		return nil, err
	}
	n.cancel()
	select {
	case <-n.ended:
	case <-ctx.Done():
	}
	return bulkAnswer{http.StatusOK, "", n.shown()}, nil
}

// bulkAnswer is a Job or a DryRun.
type bulkAnswer struct {
	status   int
	location string
	body     any
}

func (a bulkAnswer) write(w http.ResponseWriter) error {
	if a.location != "" {
		w.Header().Set("Location", a.location)
	}
	return write(w, a.status, a.body)
}

// VisitRedriveAllResponse implements RedriveAllResponseObject.
func (a bulkAnswer) VisitRedriveAllResponse(w http.ResponseWriter) error { return a.write(w) }

// VisitDiscardAllResponse implements DiscardAllResponseObject.
func (a bulkAnswer) VisitDiscardAllResponse(w http.ResponseWriter) error { return a.write(w) }

// VisitGetJobResponse implements GetJobResponseObject.
func (a bulkAnswer) VisitGetJobResponse(w http.ResponseWriter) error { return a.write(w) }

// VisitCancelJobResponse implements CancelJobResponseObject.
func (a bulkAnswer) VisitCancelJobResponse(w http.ResponseWriter) error { return a.write(w) }
