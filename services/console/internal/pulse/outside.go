package pulse

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/services/console/internal/playground"
)

const (
	// lookUps bounds the orders asked about at the gateway for one sample, again those asked about once more when there is nothing new.
	lookUps = 200
	again   = 10
	// askers is how many ask at once, each on a connection that stays open, and askWithin how long all of it may take.
	askers    = http.DefaultMaxIdleConnsPerHost
	askWithin = time.Second
	// maxMails bounds the mails that are remembered.
	maxMails = 200_000
)

// outside are the witnesses that have no part in the log.
type outside struct {
	playground playground.Playground
	turn       int // which order is asked about again next

	mails   map[string]mail // by Message-ID
	after   int64           // the last that was read
	partial bool            // some were forgotten, so one that is not there may have been
}

type mail struct {
	copies int
	at     time.Time // of the first
}

func newOutside(p playground.Playground) *outside {
	return &outside{playground: p, mails: map[string]mail{}}
}

// bare is a Message-ID without its brackets.
func bare(id string) string { return strings.Trim(id, "<>") }

// askGateway looks up the orders whose money may have moved, a bounded number at a time; and when there are none, some of the others
// again. What was not answered in time is asked about again; it fails when nothing was answered.
func (w *outside) askGateway(ctx context.Context, j *journal) error {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	ask := w.pick(j)
	errs := make([]error, len(ask))
	places := make(chan struct{}, askers)
	var wg sync.WaitGroup
	for i, o := range ask {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			m, err := w.playground.Money(ctx, o.id)
			if errs[i] = err; err == nil {
				o.money = &m
				o.wrong = o.contradicts()
			}
		})
	}
	wg.Wait()
	for i, o := range ask {
		if errs[i] == nil {
			delete(j.changed, o.id)
		}
	}
	if len(ask) == 0 || slices.Contains(errs, nil) {
		return nil
	}
	return errs[0]
}

func (w *outside) pick(j *journal) (ask []*order) {
	for id := range j.changed {
		if o := j.orders[id]; !j.judged(o) {
			delete(j.changed, id)
		} else if ask = append(ask, o); len(ask) == lookUps {
			return ask
		}
	}
	for range min(again, len(j.ages)) {
		w.turn = (w.turn + 1) % len(j.ages)
		if o := j.orders[j.ages[w.turn]]; j.judged(o) && !slices.Contains(ask, o) {
			ask = append(ask, o)
		}
	}
	return ask
}

// askMailbox reads what has come since the last time.
func (w *outside) askMailbox(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	came, err := w.playground.Mails(ctx, w.after)
	for _, m := range came {
		have, known := w.mails[bare(m.MessageID)]
		if !known {
			have.at = m.Received
		}
		have.copies++
		w.mails[bare(m.MessageID)] = have
		w.after = m.ID
	}
	if len(w.mails) > maxMails {
		clear(w.mails)
		w.partial = true
	}
	return err
}
