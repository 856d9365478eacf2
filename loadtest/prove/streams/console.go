package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/troupe-dev/troupe/schemas/money"
)

// shownRow is one of the console's page: the figure, of what, what the topic says, what query does, and whether that is the same.
var shownRow = regexp.MustCompile(`<tr data-figure="(\w+)"><td>([^<]*)</td><td class="number">([^<]*)</td>` +
	`<td class="number">([^<]*)</td><td class="\w+">([^<]*)</td></tr>`)

// console holds what the console shows of the topic against the read model.
func (t *test) console(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.consoleURL+"/statistics", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	page, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the console's page of statistics: %s, %w: %s", resp.Status, err, page)
	}
	var got []string
	for _, row := range shownRow.FindAllStringSubmatch(string(page), -1) {
		got = append(got, strings.Join(row[1:], " | "))
	}
	slices.Sort(got)
	f, err := t.expected(ctx)
	if err != nil {
		return err
	}
	if want := shown(f); !slices.Equal(got, want) {
		return fmt.Errorf("the console shows\n%s\nand should show\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	t.say("the console shows %d figures, and that query's are the same", len(got))
	return nil
}

// shown are the rows that the console has of figures, when the topic and query say the same.
func shown(f figures) (rows []string) {
	add := func(figure, of, text string) {
		rows = append(rows, strings.Join([]string{figure, of, text, text, "equal"}, " | "))
	}
	orders := map[string]int64{}
	for name, r := range f {
		figure, rest, _ := strings.Cut(name, "/")
		kind, since, _ := strings.Cut(rest, "/")
		day, _, _ := strings.Cut(since, "T")
		switch figure {
		case "orders":
			orders[kind] += r.N
		case "revenue":
			add(figure, day, fmt.Sprintf("%s from %d confirmed", money.Format(r.Amount, kind), r.N))
		case "payments":
			add(figure, day, fmt.Sprintf("%.1f %% of %d declined", 100*r.Share, r.N))
		}
	}
	for outcome, n := range orders {
		add("orders", outcome, fmt.Sprint(n))
	}
	slices.Sort(rows)
	return rows
}
