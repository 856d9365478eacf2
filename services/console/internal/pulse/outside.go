package pulse

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// lookUps bounds the orders asked about at the gateway for one sample, again those asked about once more when there is nothing new.
	lookUps = 200
	again   = 10
	// askers is how many ask at once, and askWithin how long all of it may take.
	askers    = 4
	askWithin = time.Second
	// maxMails bounds the mails that are remembered.
	maxMails = 200_000
	mailPage = 5000
)

// outside are the witnesses that have no part in the log.
type outside struct {
	gateway, mailbox string
	http             http.Client
	turn             int // which order is asked about again next

	mails   map[string]mail // by Message-ID
	after   int64           // the last that was read
	partial bool            // some were forgotten, so one that is not there may have been
}

type mail struct {
	copies int
	at     time.Time // of the first
}

func newOutside(cfg Config) *outside {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxConnsPerHost, transport.MaxIdleConnsPerHost = askers, askers
	return &outside{
		gateway: strings.TrimRight(cfg.Gateway, "/"), mailbox: strings.TrimRight(cfg.Mailbox, "/"), mails: map[string]mail{},
		http: http.Client{Transport: transport},
	}
}

// bare is a Message-ID without its brackets.
func bare(id string) string { return strings.Trim(id, "<>") }

func (w *outside) get(ctx context.Context, from string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return err
	}
	resp, err := w.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", from, resp.Status)
	}
	return json.NewDecoder(http.MaxBytesReader(nil, resp.Body, 16<<20)).Decode(into)
}

// ledger is what the gateway says of its orders.
type ledger struct {
	Orders map[string]struct {
		Intents []struct {
			Charges, Refunds []struct {
				Status string
				Amount int64
			}
		}
	}
}

// askGateway looks up the orders whose money may have moved, a bounded number at a time; and when there are none, some of the others
// again. What was not answered in time is asked about again; it fails when nothing was answered.
func (w *outside) askGateway(ctx context.Context, j *journal) error {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	ask := w.pick(j)
	errs := make([]error, len(ask))
	var wg sync.WaitGroup
	for i, o := range ask {
		wg.Go(func() {
			var l ledger
			if errs[i] = w.get(ctx, w.gateway+"/ledger?order_id="+url.QueryEscape(o.id), &l); errs[i] == nil {
				o.hear(l)
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

// hear takes over what the ledger says. What has not failed may still succeed, and counts.
func (o *order) hear(l ledger) {
	o.asked, o.charges, o.charged, o.refunds, o.given = true, 0, 0, 0, 0
	for _, in := range l.Orders[o.id].Intents {
		for _, c := range in.Charges {
			if c.Status != "failed" {
				o.charges++
				o.charged += c.Amount
			}
		}
		for _, r := range in.Refunds {
			o.refunds++
			o.given += r.Amount
		}
	}
	o.wrong = o.contradicts()
}

// askMailbox reads what has come since the last time.
func (w *outside) askMailbox(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	for more := true; more; {
		var page struct {
			Messages []struct {
				ID        int64     `json:"id"`
				MessageID string    `json:"message_id"`
				Received  time.Time `json:"received_at"`
			} `json:"messages"`
			NextAfter int64 `json:"next_after"`
		}
		if err := w.get(ctx, fmt.Sprintf("%s/api/messages?limit=%d&after=%d", w.mailbox, mailPage, w.after), &page); err != nil {
			return err
		}
		for _, m := range page.Messages {
			have, known := w.mails[bare(m.MessageID)]
			if !known {
				have.at = m.Received
			}
			have.copies++
			w.mails[bare(m.MessageID)] = have
			w.after = m.ID
		}
		more = page.NextAfter != 0
	}
	if len(w.mails) > maxMails {
		clear(w.mails)
		w.partial = true
	}
	return nil
}
