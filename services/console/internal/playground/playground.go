// Package playground asks what only a playground can tell: the gateway simulator's ledger, the mailbox, and the control API
// that breaks things.
package playground

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/schemas/check"
)

const (
	// controlHeader must be on what changes something in a playground.
	controlHeader = "X-Troupe-Control"
	// callWithin bounds one call, and maxAnswer its answer, in bytes.
	callWithin = 10 * time.Second
	maxAnswer  = 16 << 20
	// mailPage is how many mails are read at once.
	mailPage = 5000
)

// Playground that a console belongs to, by base URLs; those that are empty it does not have. Errors are problems with the class
// that was answered, or Unavailable.
type Playground struct{ Gateway, Mailbox, Control string }

func call(ctx context.Context, method, base, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(base, "/")+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set(controlHeader, "1")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fault.New(fault.Unavailable, "the playground does not answer: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if err := problem.Read(resp); err != nil {
		return err
	}
	return json.NewDecoder(http.MaxBytesReader(nil, resp.Body, maxAnswer)).Decode(into)
}

// Money is what the gateway says of an order.
func (p Playground) Money(ctx context.Context, order string) (check.Money, error) {
	var l check.Ledger
	err := call(ctx, http.MethodGet, p.Gateway, "/ledger?order_id="+url.QueryEscape(order), &l)
	return l.Orders[order].Money(), err
}

// Mails returns the mails that came after one, by its number; 0 is before the first. With an error, those that were read before it.
func (p Playground) Mails(ctx context.Context, after int64) (all []check.Mail, err error) {
	for {
		var page struct {
			Messages  []check.Mail `json:"messages"`
			NextAfter int64        `json:"next_after"`
		}
		err := call(ctx, http.MethodGet, p.Mailbox, fmt.Sprintf("/api/messages?limit=%d&after=%d", mailPage, after), &page)
		all = append(all, page.Messages...)
		if after = page.NextAfter; err != nil || after == 0 {
			return all, err
		}
	}
}

// Stopped says which services have no process that runs, and what became of it. What cannot be asked is left out.
func (p Playground) Stopped(ctx context.Context) map[string]string {
	var list struct {
		Processes []struct{ Service, State string }
	}
	if p.Control == "" || call(ctx, http.MethodGet, p.Control, "/processes", &list) != nil {
		return nil
	}
	stopped := map[string]string{}
	for _, p := range list.Processes {
		stopped[p.Service] = p.State
	}
	for _, p := range list.Processes {
		if p.State == "running" {
			delete(stopped, p.Service)
		}
	}
	return stopped
}

// Break is something that can be broken, as the control API says it.
type Break struct {
	Name, Title, Does, Watch string
	Options                  []struct{ Value, Label string }
	LastsS                   int `json:"lasts_s"`
	On                       bool
	Option                   string
	EndsAt                   time.Time `json:"ends_at"`
	Order, Error             string
}

// Left is how many seconds it goes on.
func (b Break) Left() int { return max(0, int(time.Until(b.EndsAt).Round(time.Second).Seconds())) }

// Breaks returns all that can be broken.
func (p Playground) Breaks(ctx context.Context) ([]Break, error) {
	var list struct{ Breaks []Break }
	err := call(ctx, http.MethodGet, p.Control, "/breaks", &list)
	return list.Breaks, err
}

// Break breaks one thing, in the way that an option names.
func (p Playground) Break(ctx context.Context, name, option string) error {
	return call(ctx, http.MethodPost, p.Control, "/breaks/"+url.PathEscape(name)+"?option="+url.QueryEscape(option), new(Break))
}

// Mend ends it.
func (p Playground) Mend(ctx context.Context, name string) error {
	return call(ctx, http.MethodDelete, p.Control, "/breaks/"+url.PathEscape(name), new(Break))
}
