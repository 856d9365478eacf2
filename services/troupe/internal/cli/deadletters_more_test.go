package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

// With --json what is printed is what the service said, and nothing else.
func TestJSON(t *testing.T) {
	failed := state("failed", `,"redriven":1,"waiting":1,"letter_id":"e-1","class":"permanent","message":"no"`)
	for args, tc := range map[string]struct {
		key, body string
		status    int
		code      int
	}{
		"list":                {getLetters, page("", letter("payment", "o-1", 1, "")), 200, 0},
		"list --groups":       {getGroups, groups(1), 200, 0},
		"show payment/o-1":    {getChain, chain(2, "", head(), second()), 200, 0},
		"log":                 {getLog, `{"entries":[` + strings.Join(trail, ",") + `],"next_page_token":""}`, 200, 0},
		"redrive payment/o-1": {redrive, failed, 200, 4},
	} {
		c := serve(t, answers{getLetters: says(200, page("", letter("payment", "o-1", 1, ""))), tc.key: says(tc.status, tc.body)})
		flags := []string{"--json", "--console-url", c.url}
		if strings.HasPrefix(args, "redrive") {
			flags = append(flags, "--by", "ada")
		}
		code, out, _ := c.run("", append(append([]string{"dead-letters"}, strings.Fields(args)...), flags...)...)
		if code != tc.code || !same(t, out, tc.body) {
			t.Errorf("%s: code %d, want %d; got\n%s\nwant\n%s", args, code, tc.code, out, tc.body)
		}
	}
}

// same compares lines of JSON with what they should be.
func same(t *testing.T, got string, want ...string) bool {
	t.Helper()
	var gots, wants []any
	for _, text := range want {
		var v any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		wants = append(wants, v)
	}
	for line := range strings.Lines(got) {
		var v any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Errorf("%q: %v", line, err)
		}
		gots = append(gots, v)
	}
	return reflect.DeepEqual(gots, wants)
}

// one order is parked.
var one = says(200, page("", letter("payment", "o-1", 1, "")))

// An outcome that does not come in time is no failure: the request goes on, and its id is said.
func TestOutcomeThatDoesNotCome(t *testing.T) {
	c := serve(t, answers{getLetters: one, redrive: says(202, state("waiting", "")), getRequest: says(202, state("waiting", ""))})
	code, out, errs := c.run("", "dead-letters", "redrive", "payment/o-1", "--by", "ada", "--timeout", "1100ms", "--console-url", c.url)
	if code != exitTimeout || !strings.Contains(out, "request r-9 is in the log and goes on") || !strings.Contains(errs, "not done after 1.1s") {
		t.Errorf("code %d, %s%s", code, out, errs)
	}
	if len(c.asked) > 10 {
		t.Errorf("asked %d times in a second", len(c.asked))
	}
	code, out, _ = c.run("", "dead-letters", "redrive", "payment/o-1", "--by", "ada", "--timeout", "500ms", "--json", "--console-url", c.url)
	if code != exitTimeout || !same(t, out, state("waiting", "")) {
		t.Errorf("code %d, %s", code, out)
	}
}

// The door may be away while one waits: it forgets nothing.
func TestDoorIsAwayWhileOneWaits(t *testing.T) {
	asked := 0
	c := serve(t, answers{getLetters: one, redrive: says(202, state("waiting", "")), getRequest: func(*http.Request) (int, string) {
		if asked++; asked == 1 {
			return 503, refusal(503, "unavailable", "")
		}
		return 200, state("done", `,"redriven":1,"waiting":0`)
	}})
	code, out, errs := c.run("", "dead-letters", "redrive", "payment/o-1", "--by", "ada", "--console-url", c.url)
	if code != exitOK || asked != 2 {
		t.Errorf("code %d after %d questions, %s%s", code, asked, out, errs)
	}
}

// With --json, a line says what became of each order.
func TestJSONInBulk(t *testing.T) {
	done := func(order string) string { return strings.Replace(state("done", `,"redriven":1`), "o-1", order, 1) }
	refused := `{"participant":"order","order_id":"o-4","request_id":"","action":"redrive","state":"refused","message":"because\n  /force: is wrong"}`
	for args, want := range map[string][]string{
		"redrive --all":                     {done("o-1"), done("o-2"), refused, done("o-3")},
		"redrive --all --dry-run --limit 1": {page("", letter("payment", "o-1", 1, ""))},
	} {
		c := serve(t, answers{getLetters: parked(), redrive: byOrder(answers{"o-4": says(409, refusal(409, "redriven-too-often", "/force"))})})
		_, out, errs := c.run("", append(append([]string{"dead-letters"}, strings.Fields(args)...), "--json", "--by", "ada", "--console-url", c.url)...)
		if !same(t, out, want...) {
			t.Errorf("%s: got\n%s%s\nwant\n%s", args, out, errs, want)
		}
	}
}

// Where nothing is parked, the list of it is empty, as the contract has it.
func TestJSONOfNothing(t *testing.T) {
	c := serve(t, answers{getLetters: says(200, page(""))})
	_, out, errs := c.run("", "dead-letters", "redrive", "--all", "--dry-run", "--json", "--by", "ada", "--console-url", c.url)
	if !same(t, out, page("")) {
		t.Errorf("got %s%s", out, errs)
	}
}

// Who asks is known where no variable says it, one order is waited for within bounds, and blanks say nothing.
func TestActFlags(t *testing.T) {
	t.Setenv("USER", "")
	for _, cmd := range []*cobra.Command{redriveCommand(), editCommand(), discardCommand()} {
		if got, within := cmd.Flag("by").DefValue, cmd.Flag("timeout").DefValue; got != systemUser() || got == "" || within != "30s" {
			t.Errorf("%s: by %q, within %s", cmd.Name(), got, within)
		}
	}
	for _, flag := range []string{"--by", "--reason"} {
		c := serve(t, answers{})
		code, _, errs := c.run("", "dead-letters", "discard", "o-1", "--by", "ada", "--reason", "a test", flag, " ", "--console-url", c.url)
		if code != exitUsage || !strings.Contains(errs, flag+": must say") {
			t.Errorf("%s: code %d, %s", flag, code, errs)
		}
	}
}

func TestABulkRedriveThatTakesLongerEndsAndSaysWhatIsNotAnswered(t *testing.T) {
	c := serve(t, answers{getLetters: parked(), getRequest: says(202, state("waiting", "")),
		redrive: byOrder(answers{"o-2": says(202, strings.Replace(state("waiting", ""), "o-1", "o-2", 1))})})
	code, out, errs := c.run("", "dead-letters", "redrive", "--all", "--by", "ada", "--timeout", "600ms", "--console-url", c.url)
	if code != exitTimeout || !strings.Contains(out, "payment/o-3  redrive done") || !strings.Contains(out, "request r-9 is in the log and goes on") {
		t.Errorf("code %d, %s%s", code, out, errs)
	}
}

// Ctrl-C stops it, a console that is away for a moment does not; and the same command goes on with what is left.
func TestABulkRedriveIsInterruptedAndGoesOn(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	var mu sync.Mutex
	left := map[string]bool{"o-1": true, "o-2": true, "o-3": true}
	asked, away := 0, true
	c := serve(t, answers{
		getLetters: func(*http.Request) (int, string) {
			mu.Lock()
			defer mu.Unlock()
			var letters []string
			for _, order := range slices.Sorted(maps.Keys(left)) {
				letters = append(letters, letter("payment", order, 1, ""))
			}
			return 200, page("", letters...)
		},
		redrive: func(r *http.Request) (int, string) {
			mu.Lock()
			defer mu.Unlock()
			if away {
				away = false
				return 503, refusal(503, "unavailable", "")
			}
			asked++
			delete(left, strings.Split(r.URL.Path, "/")[4])
			if asked == 1 {
				interrupt()
			}
			return 200, state("done", `,"redriven":1,"waiting":0`)
		},
	})
	var out, errs bytes.Buffer
	args := []string{"dead-letters", "redrive", "--all", "--rate", "1", "--by", "ada", "--console-url", c.url}
	code := execute(ctx, args, strings.NewReader(""), &out, &errs)
	if code != exitFailed || asked != 1 || len(left) != 2 || !strings.Contains(errs.String(), "goes on with what is left") {
		t.Errorf("code %d, asked for %d, %s%s", code, asked, out.String(), errs.String())
	}
	args[4] = "1000"
	code, said, _ := c.run("", args...)
	if code != exitOK || asked != 3 || len(left) != 0 || !strings.Contains(said, "2 of 2 orders done") {
		t.Errorf("again: code %d, asked for %d, %s", code, asked, said)
	}
}

// --rate is a bound: so many orders a second at most.
func TestABulkRedriveKeepsToItsRate(t *testing.T) {
	c := serve(t, answers{getLetters: parked(), redrive: byOrder(nil)})
	began := time.Now()
	if code, out, errs := c.run("", "dead-letters", "redrive", "--all", "--rate", "20", "--by", "ada", "--console-url", c.url); code != exitOK {
		t.Errorf("code %d, %s%s", code, out, errs)
	}
	if took := time.Since(began); took < 200*time.Millisecond {
		t.Errorf("4 orders at 20 a second took %s", took)
	}
}

func TestDoorThatIsNotThere(t *testing.T) {
	var out, errs bytes.Buffer
	code := execute(t.Context(), []string{"dead-letters", "list", "--console-url", "http://127.0.0.1:1"}, nil, &out, &errs)
	if code != exitFailed || !strings.Contains(errs.String(), "Is the playground running?") {
		t.Errorf("code %d, %s", code, errs.String())
	}
}

// editing plays an operator: what becomes of a payload in an editor, which is a command line.
func editing(t *testing.T, payload, editor string) (file, left string, err error) {
	t.Helper()
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "with a space"))
	if err := os.Mkdir(os.TempDir(), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("VISUAL", "")
	t.Setenv("EDITOR", editor)
	file, err = inEditor([]byte(payload))
	raw, _ := os.ReadFile(file)
	return file, string(raw), err
}

func TestEditor(t *testing.T) {
	if _, left, err := editing(t, `{"a":1}`, "sed -i s/1/7/"); err != nil || left != "{\n  \"a\": 7\n}" {
		t.Errorf("changed: %q, %v", left, err)
	}
	if _, left, err := editing(t, "", "cp testdata/edited.json"); err != nil || left != "{}\n" {
		t.Errorf("what cannot be decoded: %q, %v", left, err)
	}
	if file, left, err := editing(t, `{"a":1}`, "true"); err == nil || !strings.Contains(err.Error(), "nothing was changed") || left != "" {
		t.Errorf("unchanged: %s, %q, %v", file, left, err)
	}
	if _, _, err := editing(t, `{"a":1}`, "false"); err == nil || !strings.Contains(err.Error(), "editor (the payload is in ") {
		t.Errorf("the editor fails: %v", err)
	}
}

// What was edited and cannot be used is not lost.
func TestEditIsKept(t *testing.T) {
	for name, tc := range map[string]struct {
		editor string
		answer func(*http.Request) (int, string)
		kept   bool
	}{
		"used":    {"sed -i s/refused/visa/", says(200, strings.Replace(state("done", `,"redriven":1`), `"redrive"`, `"edit"`, 1)), false},
		"invalid": {"sed -i s/refused/none/", says(422, refusal(422, "invalid-payload", "/payload/x")), true},
		"no JSON": {"sed -i s/{/x/", nil, true},
	} {
		c := serve(t, answers{getLetters: one, getChain: says(200, chain(1, "", head())), edit: tc.answer})
		said, err := editingByHand(t, c, tc.editor)
		left, _ := filepath.Glob(filepath.Join(os.TempDir(), "*"))
		if (err != nil) != tc.kept || (len(left) == 1) != tc.kept || strings.Contains(said, "--payload takes it") != tc.kept {
			t.Errorf("%s: %v, left %v, %s", name, err, left, said)
		}
	}
}

// editingByHand is an edit of o-1 at a terminal.
func editingByHand(t *testing.T, c *console, editor string) (said string, err error) {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv("VISUAL", editor)
	var out bytes.Buffer
	cmd := &cobra.Command{}
	cmd.SetContext(t.Context())
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	err = (&consoleAPI{url: c.url}).editByHand(cmd, []string{"payment/o-1"}, rest.Act{By: "ada", Reason: "wrong"})
	return out.String(), err
}

// A chain can move between two looks: what is sent is of the letter that was edited, and of nothing there is nothing to edit.
func TestEditOfAChainThatMoves(t *testing.T) {
	moved := strings.Replace(head(), `"e-1"`, `"e-3"`, 1)
	c := serve(t, answers{getLetters: one, getChain: says(200, chain(1, "", moved)), edit: says(200, state("done", `,"redriven":1`))})
	said, err := editingByHand(t, c, "sed -i s/refused/visa/")
	if asked := c.asked[len(c.asked)-1]; err != nil || !strings.Contains(asked, `"letter_id":"e-3"`) {
		t.Errorf("%v, %s, %s", err, said, asked)
	}
	c = serve(t, answers{getLetters: one, getChain: says(200, chain(0, ""))})
	if _, err := editingByHand(t, c, "false"); fault.ClassOf(err) != fault.NotFound {
		t.Errorf("nothing waits: %v", err)
	}
}

// Nothing that a terminal would obey is printed, and all that JSON may hold can be.
func TestYAMLIsShown(t *testing.T) {
	for in, want := range map[string]string{
		"tea\u202e\u2066\u200b":   "a: tea���\n",
		"tea\ufffe\uffff\x7f\x1b": "a: tea����\n",
		"panic: x\n\tat y 茶":      "a: |-\n  panic: x\n  \tat y 茶\n",
	} {
		raw, _ := json.Marshal(map[string]string{"a": in})
		if got, err := asYAML(raw); err != nil || string(got) != want {
			t.Errorf("%q: got %q, %v", in, got, err)
		}
	}
	if got, err := asYAML([]byte(`{"a":"\u202e"}`)); err != nil || string(got) != "a: �\n" {
		t.Errorf("escaped: got %q, %v", got, err)
	}
}
