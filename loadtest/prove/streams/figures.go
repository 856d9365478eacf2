package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/chain"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/schemas/client/queryapi"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

const pageSize = 100

// figures are rows of statistics, by figure/kind/since.
type figures map[string]row

// row has 0 where the topic has null.
type row struct {
	N      int64   `json:"n"`
	Amount int64   `json:"amount"`
	Share  float64 `json:"share"`
}

type key struct {
	Figure, Kind string
	Since        time.Time
}

// String leaves out since which day records are counted: inspect reads no time of them.
func (k key) String() string {
	if k.Figure == "records" {
		return k.Figure + "/" + k.Kind
	}
	return k.Figure + "/" + k.Kind + "/" + k.Since.UTC().Format(time.RFC3339)
}

func (f figures) add(k key, amount int64) {
	r := f[k.String()]
	f[k.String()] = row{N: r.N + 1, Amount: r.Amount + amount}
}

func (f figures) names() []string { return slices.Sorted(maps.Keys(f)) }

// records tells the verdicts.
func (f figures) records() string {
	var all []string
	for _, name := range f.names() {
		if verdict, ok := strings.CutPrefix(name, "records/"); ok {
			all = append(all, fmt.Sprintf("%d records %s", f[name].N, verdict))
		}
	}
	return strings.Join(all, ", ")
}

// differences are the rows of what is expected, and of figures of the same names, that are not the same.
func differences(got, want figures) (all []string) {
	expected := map[string]bool{}
	for name := range want {
		expected[figureOf(name)] = true
	}
	names := append(want.names(), got.names()...)
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if expected[figureOf(name)] && got[name] != want[name] {
			all = append(all, fmt.Sprintf("%s is %+v, and should be %+v", name, got[name], want[name]))
		}
	}
	return all
}

func figureOf(name string) string {
	figure, _, _ := strings.Cut(name, "/")
	return figure
}

// figures reads a topic of statistics, of which the newest row of each key counts.
func (t *test) figures(ctx context.Context, topic string) (figures, error) {
	records, err := t.log.Topic(ctx, topic, 1)
	if err != nil {
		return nil, err
	}
	newest := map[string]row{}
	for _, r := range records {
		var v row
		if r.Value == nil {
			delete(newest, string(r.Key))
			continue
		}
		if err := json.Unmarshal(r.Value, &v); err != nil {
			return nil, err
		}
		newest[string(r.Key)] = v
	}
	f := figures{}
	for text, v := range newest {
		var k key
		if err := json.Unmarshal([]byte(text), &k); err != nil {
			return nil, err
		}
		if k.Figure == "records" { // of several days, perhaps
			v.N += f[k.String()].N
		}
		f[k.String()] = v
	}
	return f, nil
}

// expected makes the figures from the documents of the read model, and the verdicts from the log by pkg/chain.
func (t *test) expected(ctx context.Context) (figures, error) {
	f := figures{}
	declined := map[string]int64{}
	for token := ""; ; {
		page, err := t.orders.List(ctx, rest.Filter{PageSize: pageSize, PageToken: token})
		if err != nil {
			return nil, err
		}
		for _, o := range page.Orders {
			f.add(key{"orders", string(o.Status), o.PlacedAt.Truncate(time.Minute)}, o.Total)
			if !o.ConfirmedAt.IsZero() {
				f.add(key{"revenue", o.Currency, day(o.ConfirmedAt)}, o.Total)
			}
			if at := o.Payment.DecidedAt; !at.IsZero() {
				k := key{"payments", "declined", day(at)}
				f.add(k, 0)
				if o.Payment.Status == "declined" {
					declined[k.String()]++
				}
			}
		}
		if token = page.NextPageToken; token == "" {
			break
		}
	}
	for name, n := range declined {
		r := f[name]
		r.Share = float64(n) / float64(r.N)
		f[name] = r
	}
	records, err := t.facts(ctx)
	if err != nil {
		return nil, err
	}
	readers := map[string]*reader{}
	for _, r := range records {
		f.add(key{Figure: "records", Kind: verdict(readers, r)}, 0)
	}
	return f, nil
}

func day(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }

// reader of the chain of one order in one topic.
type reader struct {
	head  chain.Head
	known map[string]bool
}

func verdict(readers map[string]*reader, rec broker.Record) string {
	e, err := event.FromRecord(rec)
	if err != nil {
		return "undecodable"
	}
	of := rec.Topic + "/" + e.Subject
	r := readers[of]
	if r == nil {
		r = &reader{known: map[string]bool{}}
		readers[of] = r
	}
	l := chain.Link{Sequence: e.Sequence, ID: e.ID, PreviousID: e.PreviousID}
	v := r.head.Judge(l, r.known[e.ID])
	if v == chain.Valid || v == chain.Duplicate {
		r.known[e.ID] = true
		r.head = r.head.Accept(l, true)
	}
	if _, err := event.Decode(e); err != nil {
		return "undecodable"
	}
	return map[chain.Verdict]string{chain.Valid: "valid", chain.Duplicate: "duplicate", chain.Superseded: "superseded"}[v]
}

// againstQuery holds the figures against those that query itself answers with.
func (t *test) againstQuery(ctx context.Context, got figures) (wrong []string, err error) {
	query, err := queryapi.NewClientWithResponses(t.query)
	if err != nil {
		return nil, err
	}
	resp, err := query.GetStatsWithResponse(ctx, &queryapi.GetStatsParams{Minutes: new(60)})
	if err != nil {
		return nil, err
	}
	own := resp.JSON200
	if own == nil {
		return nil, fmt.Errorf("GET /stats: %s", resp.HTTPResponse.Status)
	}
	orders, revenue := map[string]int64{}, map[string]int64{}
	for name, r := range got {
		switch part := strings.SplitN(name, "/", 3); part[0] {
		case "orders":
			orders[part[1]] += r.N
			orders[part[2]] += r.N
		case "revenue":
			revenue[part[1]] += r.Amount
		}
	}
	hold := func(what string, got, want int64) {
		if got != want {
			wrong = append(wrong, fmt.Sprintf("%s: %d; query says %d", what, got, want))
		}
	}
	hold("orders placed", orders["placed"], own.Orders.Placed)
	hold("orders confirmed", orders["confirmed"], own.Orders.Confirmed)
	hold("orders cancelled", orders["cancelled"], own.Orders.Cancelled)
	for _, m := range own.Minutes {
		hold("orders of "+m.Start.String(), orders[m.Start.UTC().Format(time.RFC3339)], m.Orders)
		for _, money := range m.Revenue {
			revenue[money.Currency] -= money.Amount
		}
	}
	for currency, left := range revenue {
		hold("revenue in "+currency+" beyond query's", left, 0)
	}
	if len(own.Minutes) == 0 || len(revenue) == 0 {
		return nil, errors.New("query has no figures")
	}
	return wrong, nil
}
