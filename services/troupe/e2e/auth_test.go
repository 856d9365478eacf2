package e2e

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// as runs the program as somebody on this machine would, who may read the playground's directory.
func (p *playground) as(t *testing.T, args ...string) (string, int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Env = append(os.Environ(), "TROUPE_DIR="+p.dir)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// The playground as people start it: its services take tokens, and its commands find them.
func TestPlaygroundGivesItsOwnTokens(t *testing.T) {
	p := start(t, "--auth", "")
	if out, code := p.troupe(t, "list"); code == 0 || !strings.Contains(out, "(401)") {
		t.Errorf("without a token: %d, %s", code, out)
	}
	out, code := p.as(t, "place", "--wait", "--key", "auth-0001")
	if code != 0 || !strings.Contains(out, "confirmed, settled") {
		t.Fatalf("place: %d, %s", code, out)
	}
	id := strings.TrimSuffix(strings.Fields(out)[1], ",")
	if out, code := p.as(t, "list", "--customer", "bob"); code != 0 || !strings.Contains(out, "nothing found") {
		t.Errorf("another's list: %d, %s", code, out)
	}
	for _, command := range []string{"show", "follow", "cancel"} {
		if out, code := p.as(t, command, "--customer", "bob", id); code == 0 || !strings.Contains(out, "(404)") {
			t.Errorf("another's %s: %d, %s", command, code, out)
		}
		if out, code := p.as(t, command, id); code != 0 {
			t.Errorf("one's own %s: %d, %s", command, code, out)
		}
	}
	if out, code := p.as(t, "demo"); code != 0 {
		t.Errorf("demo: %d, %s", code, out)
	}

	token, code := p.as(t, "token", "viewer")
	if code != 0 {
		t.Fatalf("token: %d, %s", code, token)
	}
	for url, says := range map[string]string{
		p.Query + "/orders/" + id: id, p.Query + "/stats": "orders",
		p.Console + "/orders/" + id: "OrderConfirmed", // it asks query with a token of its own
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(token))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), says) {
			t.Errorf("a viewer's %s: %s, %v, without %s: %s", url, resp.Status, err, says, body)
		}
	}
	info, err := os.Stat(filepath.Join(p.dir, "secret"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the issuer's secret: %v, %v", info.Mode(), err)
	}
}
