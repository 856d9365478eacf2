package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/troupe-dev/troupe/loadtest/bench/peers"
)

// part is something that Troupe does and that has a price: it is measured by building the benchmark without it. The product has no
// switch for any of them.
type part struct {
	name  string
	edits []edit
}

// edit replaces a text that a file, from the root of the repository, holds once.
type edit struct{ file, before, after string }

var parts = []part{
	{"without-dedup", []edit{{"pkg/participant/internal/orders/order.go", `func (o *Order) see(id string, how Answer) {
`, `func (o *Order) see(id string, how Answer) {
	return
`}}},
	{"without-outbox", []edit{
		{"pkg/participant/change.go", `	add(ch, "RPUSH", "outbox", entries)
`, `	_ = entries
`},
		{"pkg/participant/change.go", `settled - t.outbox.Settled(); n > 0 {`, `settled - t.outbox.Settled(); n < 0 {`},
	}},
	{"without-fence", []edit{
		{"pkg/taskstore/change.go", `if not m[1] or not m[2] then return 1 end
if m[1] ~= ARGV[1] then return 2 end
if m[2] ~= ARGV[2] then
  if argv[3] == '1' and tonumber(m[2]) == tonumber(argv[2]) + 1 then return 0 end
  return 1
end
`, ``},
		{"pkg/taskstore/change.go", `call('HSET', keys[1], 'seq', seq, 'kept',`, `call('HSET', keys[1], 'kept',`},
		{"pkg/taskstore/change.go", `		switch {
		case owner == ""`, `		switch {
		case true:
		case owner == ""`},
	}},
	{"without-witness", []edit{{"pkg/task/apply.go", `	ch.Kept = p.counted(w.Store, w.h.Counted(t))
`, ``}}},
	{"with-acks-1", []edit{{"pkg/broker/produce.go", `const allInSync = -1`, `const allInSync = 1`}}},
	{"without-trace-ids", []edit{{"pkg/telemetry/span.go", `	return !Traced() && trace.SpanContextFromContext(ctx).IsValid()
`, `	return true
`}}},
	{"with-activity", []edit{{"loadtest/bench/peers/troupe.go", `Concurrency: e.Concurrency}`, `Concurrency: e.Concurrency, Activity: true}`}}},
}

// priced builds the benchmark once for each part, and returns the systems to measure: Troupe, Troupe without telemetry, and these.
func priced(ctx context.Context, dir string) ([]string, error) {
	root, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	names := []string{"troupe", "troupe-without-telemetry"}
	for _, p := range parts {
		fmt.Fprintln(os.Stderr, "building "+p.name)
		worker, err := p.build(ctx, root, filepath.Join(dir, p.name))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		systems[p.name] = system{run: peers.Troupe, troupe: true, worker: worker}
		names = append(names, p.name)
	}
	return names, nil
}

// build makes the binary of a worker from the sources in root, changed on the way into the compiler.
func (p part) build(ctx context.Context, root, dir string) (string, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	texts, err := p.changed(root)
	if err != nil {
		return "", err
	}
	replace := map[string]string{}
	for file, text := range texts {
		changed := filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(changed, text, 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(root, file)] = changed
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path, worker := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "worker")
	if err := os.WriteFile(path, overlay, 0o600); err != nil {
		return "", err
	}
	build := exec.CommandContext(ctx, "go", "build", "-C", filepath.Join(root, "loadtest", "bench"), "-overlay", path, "-o", worker, ".")
	build.Env = append(os.Environ(), "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return worker, nil
}

// changed returns the files of a part as they are without it.
func (p part) changed(root string) (map[string][]byte, error) {
	texts := map[string][]byte{}
	for _, e := range p.edits {
		text, ok := texts[e.file]
		if !ok {
			var err error
			if text, err = os.ReadFile(filepath.Join(root, e.file)); err != nil {
				return nil, fmt.Errorf("-price: must be run in the root of the repository: %w", err)
			}
		}
		if n := bytes.Count(text, []byte(e.before)); n != 1 {
			return nil, fmt.Errorf("%s holds %d times, not once:\n%s", e.file, n, e.before)
		}
		texts[e.file] = bytes.Replace(text, []byte(e.before), []byte(e.after), 1)
	}
	return texts, nil
}
