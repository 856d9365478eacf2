package schemas_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/schemas/choreography"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// What is neither in the choreography nor a part of what is there has been forgotten in one of both.
func TestEveryMessageIsAnEventOrPartOfOne(t *testing.T) {
	c, err := choreography.Load()
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, full := range c.Types() {
		used[full] = true
	}
	var messages []protoreflect.MessageDescriptor
	for _, f := range compile(t, nil) {
		for i := range f.Messages().Len() {
			m := f.Messages().Get(i)
			messages = append(messages, m)
			for j := range m.Fields().Len() {
				if part := m.Fields().Get(j).Message(); part != nil {
					used[string(part.FullName())] = true
				}
			}
		}
	}
	for _, m := range messages {
		if !used[string(m.FullName())] {
			t.Errorf("%s is no event of the choreography and no part of one", m.FullName())
		}
	}
}

// runBuf runs buf in a folder. BUF names the binary; without it, the one in PATH is taken.
func runBuf(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	name := os.Getenv("BUF")
	if name == "" {
		found, err := exec.LookPath("buf")
		if err != nil {
			t.Skip("SKIPPED: buf is not in PATH and BUF does not name it; lint and buf's own gate were not run")
		}
		name = found
	}
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestBufLintIsClean(t *testing.T) {
	if out, err := runBuf(t, ".", "lint"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestBufGateStandsAndCanFail(t *testing.T) {
	const gate = "baseline.binpb"
	if out, err := runBuf(t, ".", "breaking", "--against", gate); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	image, err := filepath.Abs(gate)
	if err != nil {
		t.Fatal(err)
	}
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(".")); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(copied, "proto", "troupe", "payment", "v1", "payment.proto")
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	broken := strings.Replace(string(text), "string refund_id = 1;", "string refund_id = 7;", 1)
	if broken == string(text) {
		t.Fatal("refund_id is not where it was")
	}
	if err := os.WriteFile(name, []byte(broken), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := runBuf(t, copied, "breaking", "--against", image)
	if err == nil || !strings.Contains(out, `"refund_id"`) {
		t.Errorf("a field was renumbered and the gate says: %v\n%s", err, out)
	}
}
