package cli

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const (
	getRebuild    = "GET /api/rebuild"
	startRebuild  = "POST /api/rebuild"
	cancelRebuild = "DELETE /api/rebuild"
)

// rebuilds is an answer about two partitions.
func rebuilds(active bool, folded int, state string) string {
	return fmt.Sprintf(`{"active":%v,"folded":%d,"of":90,"partitions":[`+
		`{"partition":0,"state":"swapped","folded":40,"of":40,"clearing":false},`+
		`{"partition":1,"state":"%s","folded":%d,"of":50,"clearing":%v}]}`, active, folded, state, folded-40, active)
}

func TestRebuild(t *testing.T) {
	under, ended := says(202, rebuilds(true, 50, "folding")), says(200, rebuilds(false, 90, "swapped"))
	running := says(409, refusal(409, "rebuild-running", ""))
	for name, c := range map[string]struct {
		args    string
		answers answers
		code    int
		says    string // on either output
	}{
		"begins":               {"", answers{startRebuild: under}, exitOK, "1          folding  10       50  true\n"},
		"waits":                {"--wait", answers{startRebuild: under, getRebuild: ended}, exitOK, "1          swapped  50       50  false\n"},
		"shows how far it is":  {"--wait", answers{startRebuild: under, getRebuild: ended}, exitOK, "50 of 90 records\n"},
		"joins":                {"--wait", answers{startRebuild: running, getRebuild: ended}, exitOK, "swapped"},
		"is refused":           {"", answers{startRebuild: running}, exitFailed, "(409)"},
		"shows":                {"--status", answers{getRebuild: ended}, exitOK, "1          swapped  50       50  false\n"},
		"shows JSON":           {"--status --json", answers{getRebuild: ended}, exitOK, `{"clearing":false,"folded":50,"of":50,"partition":1,"state":"swapped"}`},
		"is given up":          {"--cancel", answers{cancelRebuild: says(202, rebuilds(false, 50, "cancelled"))}, exitOK, "1          cancelled"},
		"was given up":         {"--wait", answers{startRebuild: under, getRebuild: says(200, rebuilds(false, 50, "cancelled"))}, exitFailed, "it was cancelled"},
		"was wiped":            {"--wait", answers{startRebuild: under, getRebuild: says(200, rebuilds(false, 40, "none"))}, exitFailed, "Redis was wiped"},
		"takes too long":       {"--wait --timeout 300ms", answers{startRebuild: under, getRebuild: says(200, rebuilds(true, 50, "folding"))}, exitTimeout, "goes on"},
		"wrong usage":          {"--status --wait", answers{}, exitUsage, "none of the others can be"},
		"unexpected arguments": {"orders", answers{}, exitUsage, `unknown command "orders"`},
	} {
		t.Run(name, func(t *testing.T) {
			c, door := c, serve(t, c.answers)
			code, out, errs := door.run("", append(append([]string{"rebuild"}, strings.Fields(c.args)...), "--console-url", door.url)...)
			if code != c.code || !strings.Contains(out+errs, c.says) {
				t.Errorf("code %d, not %d\n%s%s", code, c.code, out, errs)
			}
		})
	}
}

// The door may be away while one waits.
func TestRebuildWaitsForTheDoor(t *testing.T) {
	asked := 0
	door := serve(t, answers{startRebuild: says(202, rebuilds(true, 50, "folding")), getRebuild: func(*http.Request) (int, string) {
		if asked++; asked == 1 {
			return 503, refusal(503, "unavailable", "")
		}
		return 200, rebuilds(false, 90, "swapped")
	}})
	code, out, errs := door.run("", "rebuild", "--wait", "--console-url", door.url)
	if code != exitOK || asked != 2 {
		t.Errorf("code %d after %d questions, %s%s", code, asked, out, errs)
	}
	if len(door.asked) == 0 || !strings.HasSuffix(door.asked[0], ` {}`) {
		t.Errorf("asked %v", door.asked)
	}
}
