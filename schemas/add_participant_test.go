package schemas_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// step is one marked block of docs/add-a-participant.md: a comment that says what to do, and the fence below it.
type step struct{ action, path, anchor, text string }

// marked is: <!-- action path where "anchor" --> and a fence. A replaced line is one that holds the anchor.
var marked = regexp.MustCompile("(?ms)^<!-- (file|insert|replace|run|generate)(?: (\\S+))?(?: before)?(?: (\".*?\"))? -->\n```[a-z]*\n(.*?)^```$")

// The page is true: a copy of this repository that follows it to the letter ships an order.
func TestAddAParticipant(t *testing.T) {
	steps := readSteps(t, "../docs/add-a-participant.md")
	kustomize := built(t, "kustomize")
	root := t.TempDir()
	copyRepository(t, "..", root)
	for _, s := range steps {
		switch s.action {
		case "file":
			write(t, filepath.Join(root, s.path), s.text)
		case "insert", "replace":
			edit(t, filepath.Join(root, s.path), s)
		case "generate": // what "make generate" does, without buf
			t.Chdir(filepath.Join(root, "schemas"))
			for name, text := range generate(t, compile(t, nil)) {
				write(t, name, text)
			}
		case "run":
			cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", s.text)
			cmd.Dir = root
			cmd.Env = append(os.Environ(), "GOWORK="+filepath.Join(root, "go.work"), "PWD="+root)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s\n%s%v", s.text, out, err)
			}
		}
	}
	for file, want := range map[string]string{
		"README.md": "OrderConfirmed --> OrderShipped", "README.ko.md": "OrderConfirmed --> OrderShipped", "schemas/asyncapi.yaml": "shipping.hears.OrderConfirmed",
		"k8s/base/shipping.yaml": "image: troupe-shipping", "k8s/kafka/acls.txt": "User:shipping --topic order.events.v1 --operation Read",
		"k8s/components/network-policies/policies.yaml":           "app.kubernetes.io/name: carrier",
		"schemas/examples/troupe.shipping.v1.OrderShipped/1.json": `"wire": "CgdUUi00NzEx"`,
	} {
		if text, err := os.ReadFile(filepath.Join(root, file)); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s does not say %q: %v", file, want, err)
		}
	}
	if kustomize == "" {
		t.Log("overlays/local was not rendered: scripts/tool has built no kustomize")
		return
	}
	cmd := exec.CommandContext(t.Context(), kustomize, "build", "k8s/overlays/local")
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "image: troupe-shipping:local\n") {
		t.Errorf("overlays/local does not run troupe-shipping:local: %v\n%s", err, out)
	}
}

// built is the absolute path of a tool that scripts/tool has built; empty when it has not.
func built(t *testing.T, tool string) string {
	t.Helper()
	all, err := filepath.Glob("../.cache/bin/" + tool + "-*")
	if err != nil || len(all) == 0 {
		return ""
	}
	path, err := filepath.Abs(all[len(all)-1])
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// readSteps fails when a fence is not marked, so that nothing on the page goes untried.
func readSteps(t *testing.T, page string) (steps []step) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var actions []string
	for _, m := range marked.FindAllStringSubmatch(string(text), -1) {
		s := step{action: m[1], path: m[2], text: m[4]}
		if m[3] != "" {
			if s.anchor, err = strconv.Unquote(m[3]); err != nil {
				t.Fatalf("%s: the anchor %s: %v", page, m[3], err)
			}
		}
		steps = append(steps, s)
		actions = append(actions, s.action)
	}
	if fences := strings.Count("\n"+string(text), "\n```") / 2; fences != len(steps) {
		t.Fatalf("%s has %d fences, %d of them marked", page, fences, len(steps))
	}
	for _, action := range []string{"file", "insert", "replace", "run", "generate"} {
		if !slices.Contains(actions, action) {
			t.Fatalf("%s has no step %q", page, action)
		}
	}
	return steps
}

// edit changes the one line of a file that holds the anchor.
func edit(t *testing.T, name string, s step) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	done := 0
	var out strings.Builder
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, s.anchor) {
			done++
			out.WriteString(s.text)
			if s.action == "replace" {
				continue
			}
		}
		out.WriteString(line)
	}
	if done != 1 {
		t.Fatalf("%s: %d lines hold %q, want one", name, done, s.anchor)
	}
	write(t, name, out.String())
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// copyRepository copies what the build needs, without what was built or played.
func copyRepository(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		path, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		switch {
		case d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || path == "bin" || d.Name() == "node_modules"):
			return filepath.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, path), 0o755)
		case !d.Type().IsRegular():
			return nil
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, path), data, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}
