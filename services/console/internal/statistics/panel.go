package statistics

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/schemas/client/queryapi"
	"github.com/troupe-dev/troupe/schemas/money"
	"github.com/troupe-dev/troupe/services/console/internal/orders"
)

// The read model's figures are made from the orders themselves: query has no figures of days. maxPages bounds what that asks of it.
const (
	pageSize = 200
	maxPages = 10
)

// shown are the figures that are shown, by their names in the topic; of others nothing is held.
var shown = []Figure{
	{Name: "orders", Title: "Orders placed", Of: "Outcome"},
	{Name: "revenue", Title: "Revenue", Of: "Day"},
	{Name: "payments", Title: "Payments declined", Of: "Day"},
}

// Panel is what the topic says of the last 7 days, today included, beside what query says.
type Panel struct {
	// Since is the first of these days, Last when the newest record was written that could be read.
	Since, Last time.Time
	// Uncompared says why query's figures are not there; empty: they are.
	Uncompared string
	Figures    []Figure
}

// Figure is a table.
type Figure struct {
	Name, Title, Of string
	Lines           []Line
}

// Line is one number on both sides. State is equal, different, or not compared.
type Line struct{ Of, Topic, Query, State string }

// Panel reads the topic to its end, and asks query for its orders. Without a topic, or records in it, the error is
// NotFound; with a topic of several partitions it is ErrPartitions.
func (t *Topic) Panel(ctx context.Context, query *orders.Query) (Panel, error) {
	p := Panel{Since: day(time.Now()).AddDate(0, 0, 1-days)}
	got, err := t.totals(ctx, &p)
	if err != nil {
		return p, err
	}
	want, err := readModel(ctx, query, p.Since)
	if err != nil {
		p.Uncompared = err.Error()
	}
	all := maps.Clone(got)
	maps.Copy(all, want)
	sorted := slices.SortedFunc(maps.Keys(all), newestFirst)
	for _, f := range shown {
		for _, k := range sorted {
			if k.Figure == f.Name {
				f.Lines = append(f.Lines, line(k, got[k], want[k], p.Uncompared == ""))
			}
		}
		p.Figures = append(p.Figures, f)
	}
	return p, nil
}

// totals reads the topic; orders, which it has by the minute, are added up.
func (t *Topic) totals(ctx context.Context, p *Panel) (map[key]row, error) {
	ctx, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.advance(ctx, p.Since); err != nil {
		return nil, err
	}
	p.Last = t.read.last
	all := map[key]row{}
	for k, r := range t.read.rows {
		if k.Figure == "orders" {
			k.Since = time.Time{}
			r = row{N: all[k].N + r.N}
		}
		all[k] = r
	}
	return all, nil
}

// readModel makes the same figures from query's orders, the newest of which come first. Those of the day before count where they
// were confirmed or paid later.
func readModel(ctx context.Context, query *orders.Query, since time.Time) (map[key]row, error) {
	m := model{since, map[key]row{}, map[key]int64{}}
	token := ""
	for range maxPages {
		page, err := query.List(ctx, orders.Filter{PageSize: pageSize, PageToken: token})
		if err != nil {
			return nil, err
		}
		for _, o := range page.Orders {
			if o.PlacedAt.Before(since.AddDate(0, 0, -1)) {
				return m.rows, nil
			}
			m.take(o)
		}
		if token = page.NextPageToken; token == "" {
			return m.rows, nil
		}
	}
	return nil, fault.New(fault.Unavailable, "query holds more than %d orders of these days", pageSize*maxPages)
}

// model adds orders up as the job does.
type model struct {
	since    time.Time
	rows     map[key]row
	declined map[key]int64
}

func (m model) take(o queryapi.Order) {
	if !o.PlacedAt.Before(m.since) {
		m.add(key{Figure: "orders", Kind: o.Status}, 0)
	}
	if !o.ConfirmedAt.Before(m.since) {
		m.add(key{"revenue", o.Currency, day(o.ConfirmedAt)}, o.Total)
	}
	if at := o.Payment.DecidedAt; !at.Before(m.since) {
		k := key{"payments", "declined", day(at)}
		if o.Payment.Status == "declined" {
			m.declined[k]++
		}
		m.add(k, 0)
	}
}

func (m model) add(k key, amount int64) {
	r := row{N: m.rows[k].N + 1, Amount: m.rows[k].Amount + amount}
	r.Share = float64(m.declined[k]) / float64(r.N)
	m.rows[k] = r
}

func day(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }

// newestFirst sorts by day, then by kind.
func newestFirst(a, b key) int { return cmp.Or(b.Since.Compare(a.Since), cmp.Compare(a.Kind, b.Kind)) }

func line(k key, got, want row, compared bool) Line {
	l := Line{Of: k.Since.Format(time.DateOnly), Topic: text(k, got), Query: text(k, want), State: "different"}
	if k.Figure == "orders" {
		l.Of = k.Kind
	}
	if got == want {
		l.State = "equal"
	}
	if !compared {
		l.Query, l.State = "–", "not compared"
	}
	return l
}

func text(k key, r row) string {
	switch {
	case r == row{}:
		return "–"
	case k.Figure == "revenue":
		return fmt.Sprintf("%s from %d confirmed", money.Format(r.Amount, k.Kind), r.N)
	case k.Figure == "payments":
		return fmt.Sprintf("%.1f %% of %d declined", 100*r.Share, r.N)
	}
	return fmt.Sprint(r.N)
}
