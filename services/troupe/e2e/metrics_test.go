package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"io"
	"net/http"
)

const observability = "../../../k8s/observability/"

// receivers are metrics that no service exports: the collector's kafkametrics and redis receivers do, by their metadata.yaml.
var receivers = []string{
	"kafka_brokers", "kafka_consumer_group_lag", "kafka_partition_current_offset", "kafka_partition_replicas", "kafka_partition_replicas_in_sync",
	"redis_clients_connected", "redis_commands_processed", "redis_keys_evicted", "redis_memory_peak", "redis_memory_used",
}

var (
	metricName  = regexp.MustCompile(`\b(troupe|http|messaging|process|go|kafka|redis)_[a-z0-9_]+`)
	quotedOrBy  = regexp.MustCompile(`"[^"]*"|(?:by|without|on) *\([^)]*\)`)
	labelsOf    = regexp.MustCompile(`\{[^}]*\}`)
	labelValues = regexp.MustCompile(`^label_values\(([a-z0-9_]+),`)
	recorded    = regexp.MustCompile(`troupe:[a-z0-9_:]+`)
)

// used returns the metrics that an expression reads.
func used(expr string) []string {
	if m := labelValues.FindStringSubmatch(expr); m != nil {
		return m[1:]
	}
	for _, strip := range []*regexp.Regexp{quotedOrBy, labelsOf, recorded} {
		expr = strip.ReplaceAllString(expr, "")
	}
	return metricName.FindAllString(expr, -1)
}

// expressions lists every PromQL expression of the alerts and the dashboards, by the file it stands in.
func expressions(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	files, err := filepath.Glob(observability + "grafana/dashboards/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		var board struct {
			Panels     []struct{ Targets []struct{ Expr string } }
			Templating struct{ List []struct{ Query string } }
		}
		if err := json.Unmarshal(read(t, name), &board); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, p := range board.Panels {
			for _, target := range p.Targets {
				found[filepath.Base(name)] = append(found[filepath.Base(name)], target.Expr)
			}
		}
		for _, v := range board.Templating.List {
			found[filepath.Base(name)] = append(found[filepath.Base(name)], v.Query)
		}
	}
	block := regexp.MustCompile(`(?m)^ +expr: (?:\|\n((?: {10,}.*\n)+)|(.*)\n)`)
	for _, m := range block.FindAllStringSubmatch(string(read(t, observability+"alerts.yml")), -1) {
		found["alerts.yml"] = append(found["alerts.yml"], m[1]+m[2])
	}
	if len(found) != 4 || len(found["alerts.yml"]) != strings.Count(string(read(t, observability+"alerts.yml")), "expr:") {
		t.Fatalf("found expressions in %v", slices.Sorted(maps.Keys(found)))
	}
	return found
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// wantMetrics wants every metric that an alert or a dashboard reads to be exported by a running service, or by a named receiver of
// the collector, once everything was performed.
func (p *playground) wantMetrics(t *testing.T) {
	want := map[string]string{}
	for file, list := range expressions(t) {
		for _, expr := range list {
			names := used(expr)
			if len(names) == 0 && !recorded.MatchString(expr) {
				t.Errorf("%s: no metric in %q", file, expr)
			}
			for _, name := range names {
				want[name] = file
			}
		}
	}
	if len(want) < 40 || want["troupe_orders_parked"] == "" || want["troupe_order_settle_duration_seconds_bucket"] == "" {
		t.Fatalf("read only %v", want)
	}
	eventually(t, 30*time.Second, "every metric is exported", func() error {
		exported := p.scrape(t)
		var lacking []string
		for name, file := range want {
			if !exported[name] && !slices.Contains(receivers, name) {
				lacking = append(lacking, name+" of "+file)
			}
		}
		if len(lacking) > 0 {
			slices.Sort(lacking)
			return errors.New("nobody exports " + strings.Join(lacking, ", "))
		}
		return nil
	})
	for _, name := range receivers {
		if want[name] == "" {
			t.Errorf("nobody reads %s of the receivers", name)
		}
	}
}

// scrape returns the names of the samples that all services export.
func (p *playground) scrape(t *testing.T) map[string]bool {
	t.Helper()
	list, err := p.control.Processes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, process := range list {
		at, ok := process.Addresses["http"]
		if !ok || process.Service == "mailbox" || process.Service == "gateway" {
			continue
		}
		resp, err := http.Get(at + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s, %v", process.Name, resp.Status, err)
		}
		for line := range strings.Lines(string(body)) {
			if name := metricName.FindString(line); name != "" && strings.HasPrefix(line, name) {
				found[name] = true
			}
		}
	}
	return found
}

// Every alert names a runbook that is there, and every runbook belongs to an alert.
func TestEveryAlertHasItsRunbook(t *testing.T) {
	text := string(read(t, observability+"alerts.yml"))
	alerts := regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(text, -1)
	books := regexp.MustCompile(`runbook_url: https://github.com/troupe-dev/troupe/blob/main/(docs/runbooks/[a-z-]+\.md)`).FindAllStringSubmatch(text, -1)
	if len(alerts) < 8 || len(books) != len(alerts) {
		t.Errorf("%d alerts, %d runbooks", len(alerts), len(books))
	}
	var named []string
	for i, b := range books {
		named = append(named, filepath.Base(b[1]))
		if book := string(read(t, "../../../"+b[1])); !strings.Contains(book, alerts[i][1]) {
			t.Errorf("%s does not speak of %s", b[1], alerts[i][1])
		}
	}
	files, err := filepath.Glob("../../../docs/runbooks/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if book := string(read(t, f)); !slices.Contains(named, filepath.Base(f)) || strings.Count(book, "\n") > 60 {
			t.Errorf("%s belongs to no alert, or is longer than a screen", f)
		}
		for _, part := range []string{"## What it means", "## Look at", "## Do", "## Verify"} {
			if !strings.Contains(string(read(t, f)), part) {
				t.Errorf("%s lacks %q", f, part)
			}
		}
	}
}

func TestUsed(t *testing.T) {
	for expr, want := range map[string]string{
		`sum by (troupe_participant) (rate(troupe_events_parked_total{troupe_reason="behind_x"}[5m]))`: "[troupe_events_parked_total]",
		`label_values(troupe_tasks_expected, troupe_participant)`:                                      "[troupe_tasks_expected]",
		`troupe:settled_late:ratio_rate5m > 0.1 and max(troupe_orders_open) > 1`:                       "[troupe_orders_open]",
	} {
		if got := fmt.Sprint(used(expr)); got != want {
			t.Errorf("%s uses %s, want %s", expr, got, want)
		}
	}
}
