package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// With --json what is printed is what the service said, and nothing else.
func TestJSON(t *testing.T) {
	failed := state("failed", `,"redriven":0,"waiting":1,"letter_id":"e-1","class":"permanent","message":"no"`)
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
		c := serve(t, answers{tc.key: says(tc.status, tc.body)})
		code, out, _ := c.run("", append([]string{"dead-letters", "--json", "--console-url", c.url}, strings.Fields(args)...)...)
		if out != "" || code != 2 { // flags belong to the commands below
			t.Errorf("%s: flags before the command: code %d, %s", args, code, out)
		}
		code, out, _ = c.run("", append(append([]string{"dead-letters"}, strings.Fields(args)...), "--json", "--by", "ada", "--console-url", c.url)...)
		if strings.HasPrefix(args, "l") || strings.HasPrefix(args, "s") {
			code, out, _ = c.run("", append(append([]string{"dead-letters"}, strings.Fields(args)...), "--json", "--console-url", c.url)...)
		}
		if code != tc.code || out != tc.body+"\n" {
			t.Errorf("%s: code %d, want %d; got\n%s\nwant\n%s", args, code, tc.code, out, tc.body)
		}
	}
}

// An outcome that does not come in time is no failure: the request goes on, and its id is said.
func TestOutcomeThatDoesNotCome(t *testing.T) {
	c := serve(t, answers{redrive: says(202, state("waiting", "")), getRequest: says(202, state("waiting", ""))})
	code, _, errs := c.run("", "dead-letters", "redrive", "payment/o-1", "--by", "ada", "--timeout", "1100ms", "--console-url", c.url)
	if code != exitTimeout || !strings.Contains(errs, "r-9") || !strings.Contains(errs, "show payment/o-1") {
		t.Errorf("code %d, %s", code, errs)
	}
	if len(c.asked) > 10 {
		t.Errorf("asked %d times in a second", len(c.asked))
	}
	code, out, _ := c.run("", "dead-letters", "redrive", "payment/o-1", "--by", "ada", "--timeout", "500ms", "--json", "--console-url", c.url)
	if code != exitTimeout || out != state("waiting", "")+"\n" {
		t.Errorf("code %d, %s", code, out)
	}
}

// The door may be away while one waits: it forgets nothing.
func TestDoorIsAwayWhileOneWaits(t *testing.T) {
	asked := 0
	c := serve(t, answers{redrive: says(202, state("waiting", "")), getRequest: func(*http.Request) (int, string) {
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

// The door is asked to wait as long as the command may, and no longer than the door allows.
func TestAsksForAWait(t *testing.T) {
	for timeout, most := range map[string]int{"5m": 30, "10s": 9} {
		c := serve(t, answers{redrive: says(200, state("done", `,"redriven":1,"waiting":0`))})
		c.run("", "dead-letters", "redrive", "payment/o-1", "--by", "ada", "--timeout", timeout, "--console-url", c.url)
		found := regexp.MustCompile(`wait=(\d+)`).FindStringSubmatch(c.asked[0])
		if n, _ := strconv.Atoi(found[1]); n > most || n < most-3 {
			t.Errorf("timeout %s: asked for %s", timeout, found[0])
		}
	}
}

// What a bulk redrive and its dry run say with --json is the command's own: the console knows single orders only.
func TestJSONInBulk(t *testing.T) {
	for args, want := range map[string]string{
		"redrive --all": `{"action":"redrive","state":"finished","total":4,"done":3,"failed":0,"passed_over":1,"waiting":0}`,
		"redrive --all --dry-run": `{"action":"redrive","orders":3,"passed_over":1,"reasons":[` +
			`{"participant":"payment","class":"permanent","type":"troupe.order.v1.OrderPlaced","message":"` +
			`gateway: create: HTTP …, type \"invalid_request_error\": The simulator refuses this payment method, whoever asks.","orders":2},` +
			`{"participant":"payment","class":"permanent","type":"troupe.order.v1.OrderPlaced","message":"HTTP … of …","orders":1}]}`,
	} {
		c := serve(t, answers{getLetters: parked(), redrive: byOrder(nil)})
		_, out, errs := c.run("", append(append([]string{"dead-letters"}, strings.Fields(args)...), "--json", "--by", "ada", "--console-url", c.url)...)
		if out != want+"\n" || strings.Contains(errs, " of ") {
			t.Errorf("%s: got\n%s%s\nwant\n%s", args, out, errs, want)
		}
	}
}

func TestABulkRedriveThatTakesLongerEndsAndSaysWhatIsNotAnswered(t *testing.T) {
	slow := func(r *http.Request) (int, string) {
		<-r.Context().Done()
		return 202, state("waiting", "")
	}
	c := serve(t, answers{getLetters: parked(), redrive: byOrder(answers{"o-2": slow})})
	code, out, errs := c.run("", "dead-letters", "redrive", "--all", "--by", "ada", "--timeout", "600ms", "--console-url", c.url)
	if code != exitTimeout || !strings.Contains(out, "stopped: 2 orders done") || !strings.Contains(out, "1 not answered yet, of 4") {
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
	if code != exitOK || asked != 3 || len(left) != 0 || !strings.Contains(said, "finished: 2 orders done") {
		t.Errorf("again: code %d, asked for %d, %s", code, asked, said)
	}
}

// --rate is a bound: so many orders a second at most.
func TestABulkRedriveKeepsToItsRate(t *testing.T) {
	c := serve(t, answers{getLetters: parked(), redrive: byOrder(nil)})
	began := time.Now()
	if code, out, errs := c.run("", "dead-letters", "redrive", "--all", "--rate", "20", "--by", "ada", "--console-url", c.url); code != exitParked {
		t.Errorf("code %d, %s%s", code, out, errs)
	}
	if took := time.Since(began); took < 150*time.Millisecond {
		t.Errorf("3 orders at 20 a second took %s", took)
	}
}

func TestDoorThatIsNotThere(t *testing.T) {
	var out, errs bytes.Buffer
	code := execute(t.Context(), []string{"dead-letters", "list", "--console-url", "http://127.0.0.1:1"}, nil, &out, &errs)
	if code != exitFailed || !strings.Contains(errs.String(), "Is the playground running?") {
		t.Errorf("code %d, %s", code, errs.String())
	}
}

// editing plays an operator: what the editor leaves each time, and what is answered to each question.
func editing(t *testing.T, before, answers string, leaves ...string) (payload, file, said string, err error) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "payload.json")
	if err := os.WriteFile(file, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	turn := 0
	raw, kept, err := (&printer{out: &out}).editUntilAgreed(bufio.NewReader(strings.NewReader(answers)), file, []byte(before), func(file string) error {
		turn++
		if turn > len(leaves) {
			return errors.New("exit status 1")
		}
		return os.WriteFile(file, []byte(leaves[turn-1]), 0o600)
	})
	return string(raw), kept, out.String(), err
}

func TestEditor(t *testing.T) {
	const before = "{\n  \"a\": 1,\n  \"b\": 2\n}\n"
	after := strings.Replace(before, "1", "7", 1)
	if got, _, said, err := editing(t, before, "y\n", after); err != nil || got != after || !strings.Contains(said, "-  \"a\": 1,\n+  \"a\": 7,\n") {
		t.Errorf("yes: %q, %v, %s", got, err, said)
	}
	if got, _, said, err := editing(t, before, "e\ny\n", "{", after); err != nil || got != after || !strings.Contains(said, "cannot be sent") {
		t.Errorf("wrong, then again: %q, %v, %s", got, err, said)
	}
	if got, _, _, err := editing(t, before, "y\n", "{"); err == nil || got != "" {
		t.Errorf("yes to what is wrong: %q, %v", got, err)
	}
	for _, no := range []string{"\n", "n\n", ""} {
		got, file, _, err := editing(t, before, no, after)
		if err == nil || got != "" || !strings.Contains(err.Error(), file) {
			t.Errorf("answer %q: %q, %v", no, got, err)
		}
		if left, _ := os.ReadFile(file); string(left) != after {
			t.Errorf("answer %q: the edit is lost: %q", no, left)
		}
	}
	if _, file, _, err := editing(t, before, "y\n", before+"\n"); err == nil || !strings.Contains(err.Error(), "nothing was changed") || file != "" {
		t.Errorf("unchanged: %v, %s", err, file)
	}
	if _, _, _, err := editing(t, before, "y\n"); err == nil || !strings.Contains(err.Error(), "editor") {
		t.Errorf("editor fails: %v", err)
	}
}

func TestRunEditor(t *testing.T) {
	file := filepath.Join(t.TempDir(), "with a space.json")
	t.Setenv("VISUAL", "")
	t.Setenv("EDITOR", "cp /dev/null") // a command line of two words
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := runEditor(file); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadFile(file); err != nil || len(left) != 0 {
		t.Errorf("left %q, %v", left, err)
	}
}

func TestDiff(t *testing.T) {
	for _, tc := range []struct{ before, after, want string }{
		{"a\nb\nc", "a\nx\nc", "@@ -1,3 +1,3 @@\n a\n-b\n+x\n c\n"},
		{"a\nb\nc\nd", "b\nx\nd\ne", "@@ -1,4 +1,4 @@\n-a\n b\n-c\n+x\n d\n+e\n"},
		{"a", "a\nb", "@@ -1,1 +1,2 @@\n a\n+b\n"},
		{"a\n\x1b[2J", "a", "@@ -1,2 +1,1 @@\n a\n-�[2J\n"},
	} {
		if got := (&printer{}).diff(tc.before, tc.after); got != tc.want {
			t.Errorf("%q to %q: got\n%s", tc.before, tc.after, got)
		}
	}
}
