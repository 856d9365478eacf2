package cli

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write what the commands say into testdata")

type answers = map[string]func(*http.Request) (int, string)

const (
	getGroups  = "GET /api/dead-letters/groups"
	getLetters = "GET /api/dead-letters"
	getChain   = "GET /api/dead-letters/{participant}/{order_id}"
	getRequest = "GET /api/dead-letters/requests/{request_id}"
	getLog     = "GET /api/dead-letters/log"
	redrive    = "POST /api/dead-letters/{participant}/{order_id}/redrive"
	edit       = "POST /api/dead-letters/{participant}/{order_id}/edit"
	discard    = "POST /api/dead-letters/{participant}/{order_id}/discard"
)

const reason = "gateway: create: HTTP 400, type \\\"invalid_request_error\\\": The simulator refuses this payment method, whoever asks."

func letter(participant, order string, position int, more string) string {
	class, kind := "permanent", "OrderPlaced"
	if position > 1 {
		class, kind, more = "behind", "OrderCancelled", more+`,"behind":"e-1"`
	}
	return fmt.Sprintf(`{"participant":%q,"order_id":%q,"letter_id":"e-%d","position":%d,"type":"troupe.order.v1.%s","class":%q,
		"message":"%s","topic":"order.events.v1","partition":3,"offset":%d,"first_failure":"2026-03-01T02:40:00Z","last_failure":"2026-03-01T02:41:00Z","redrives":0%s}`,
		participant, order, position, position, kind, class, reason, 16+position, more)
}

func page(token string, letters ...string) string {
	return fmt.Sprintf(`{"letters":[%s],"next_page_token":%q}`, strings.Join(letters, ","), token)
}

func groups(orders int) string {
	return fmt.Sprintf(`{"orders":%d,"letters":%d,"groups":[
		{"participant":"payment","class":"permanent","type":"troupe.order.v1.OrderPlaced","orders":%d,"letters":%d,"oldest":"2026-02-27T02:40:00Z","newest":"2026-03-01T02:40:00Z",
			"message":"%s"},
		{"participant":"order","class":"permanent","type":"","orders":1,"letters":1,"oldest":"2026-02-28T02:40:00Z","newest":"2026-03-01T02:40:00Z",
			"message":"bad \u001b[2J\nbody"}]}`,
		orders, orders+1, orders-1, orders, reason)
}

func entry(kind, more string) string {
	return fmt.Sprintf(`{"kind":%q,"at":"2026-03-01T02:5%d:00Z","participant":"payment","order_id":"o-1","request_id":"r-1",
		"topic":"t","partition":3,"offset":1%s}`, kind, len(kind)%10, more)
}

var trail = []string{
	entry("closed", `,"redriven":1,"waiting":2,"message":"a letter failed"`),
	entry("failed", `,"letter_id":"e-1","class":"permanent","message":"no","redrives":1`),
	entry("request", `,"action":"redrive","by":"ada","reason":"they said it works"`),
	entry("redriven", `,"letter_id":"e-1"`), entry("discarded", `,"letter_id":"e-1"`), entry("edited", `,"letter_id":"e-1"`),
	entry("request", `,"action":"discard","by":"eve\u001b","letter_id":"e-1"`),
}

func chain(waiting int, token string, letters ...string) string {
	return fmt.Sprintf(`{"participant":"payment","order_id":"o-1","partition":3,"waiting":%d,"letters":[%s],"outcomes":[%s],
		"story":"/orders/o-1/events","next_page_token":%q}`, waiting, strings.Join(letters, ","), strings.Join(trail[:3], ","), token)
}

const (
	where   = `,"raw":"AP8=","group":"payment","deliveries":1,"letter_topic":"payment.dead-letters.v1","letter_offset":2`
	headers = `,"headers":[{"name":"ce_id","value":"e-1"},{"name":"odd","value":"AP8=","base64":true}]`
	payload = `,"payload":{"payment_method":"pm_sim_refused","total":"2500"}`
	broken  = `,"payload_error":"cannot parse \u001b[2J","exception":"panic: x\n\tat y"`
)

func head() string   { return letter("payment", "o-1", 1, where+headers+payload) }
func second() string { return letter("payment", "o-1", 2, where+`,"headers":[]`+broken) }

func state(state, more string) string {
	return fmt.Sprintf(`{"request_id":"r-9","participant":"payment","order_id":"o-1","action":"redrive","state":%q%s}`, state, more)
}

// parked are three chains of payment, one of them on two pages, and one of order.
func parked() func(*http.Request) (int, string) {
	often := strings.Replace(letter("order", "o-4", 1, ""), `"redrives":0`, `"redrives":5`, 1)
	return sequence(200, page("more", letter("payment", "o-1", 1, ""), letter("payment", "o-2", 1, "")),
		page("", letter("payment", "o-2", 1, ""), often, strings.Replace(letter("payment", "o-3", 1, ""), reason, "HTTP 400 of pi_9", 1)))
}

// byOrder answers a redrive by the order in its path; what is not named is done.
func byOrder(by map[string]func(*http.Request) (int, string)) func(*http.Request) (int, string) {
	return func(r *http.Request) (int, string) {
		order := strings.Split(r.URL.Path, "/")[4]
		if say := by[order]; say != nil {
			return say(r)
		}
		return 200, strings.Replace(state("done", `,"redriven":1,"waiting":0`), "o-1", order, 1)
	}
}

func refusal(status int, slug, field string) string {
	errs := ""
	if field != "" {
		errs = fmt.Sprintf(`,"errors":[{"field":%q,"detail":"is wrong"}]`, field)
	}
	return fmt.Sprintf(`{"type":"urn:troupe:problem:%s","title":"Refused","status":%d,"detail":"because"%s}`, slug, status, errs)
}

// sequence answers each time the next, and the last from then on.
func sequence(status int, bodies ...string) func(*http.Request) (int, string) {
	n := 0
	return func(*http.Request) (int, string) {
		n++
		return status, bodies[min(n, len(bodies))-1]
	}
}

func TestDeadLetters(t *testing.T) {
	one := page("", letter("payment", "o-1", 1, ""))
	both := page("", letter("payment", "o-1", 1, ""), letter("notification", "o-1", 1, ""))
	for _, tc := range []struct {
		name    string
		args    string
		in      string
		answers answers
		code    int
	}{
		{"list", "list", "", answers{getLetters: says(200, page("next", letter("payment", "o-1", 1, ""),
			letter("order", "raw:AP8", 1, `,"behind":"","retry_at":"2026-03-01T03:40:00Z"`)))}, 0},
		{"list groups", "list --groups --participant payment", "", answers{getGroups: says(200, groups(2))}, 0},
		{"list filtered", "list o-1 --participant payment --class permanent --type OrderPlaced --page-size 2 --page-token abc", "",
			answers{getLetters: says(200, one)}, 0},
		{"list nothing", "list", "", answers{getLetters: says(200, page(""))}, 0},
		{"list no groups", "list --groups", "", answers{getGroups: says(200, `{"orders":0,"letters":0,"groups":[]}`)}, 0},
		{"list in no time", "list --timeout -5s", "", answers{}, 2},
		{"list wrong class", "list --class Permanent", "", answers{}, 1},
		{"list pages of groups", "list --groups --page-size 3", "", answers{}, 2},

		{"show", "show payment/o-1", "", answers{getLetters: says(200, one), getChain: says(200, chain(2, "next", head(), second()))}, 0},
		{"show by order", "show o-1", "", answers{getLetters: says(200, one), getChain: says(200, chain(1, "", head()))}, 0},
		{"show ambiguous", "show o-1", "", answers{getLetters: says(200, both)}, 2},
		{"show unknown order", "show o-1", "", answers{getLetters: says(200, page(""))}, 5},
		{"show no name", "show payment/", "", answers{}, 2},
		{"show nothing", "show", "", answers{}, 2},

		{"redrive", "redrive o-1 --by ada", "", answers{getLetters: says(200, one), redrive: says(200, state("done", `,"redriven":2,"waiting":0`))}, 0},
		{"redrive both chains", "redrive o-1 --by ada", "", answers{getLetters: says(200, both), redrive: says(200, state("done", `,"redriven":2,"waiting":0`))}, 0},
		{"redrive fails again", "redrive payment/o-1 --by ada --reason fixed --force", "", answers{getLetters: says(200, one),
			redrive: says(200, state("failed", `,"redriven":1,"waiting":2,"letter_id":"e-2","class":"permanent","message":"still\u001b no"`))}, 4},
		{"redrive waits", "redrive payment/o-1 --by ada --timeout 20s", "", answers{getLetters: says(200, one), redrive: says(202, state("waiting", "")),
			getRequest: sequence(200, state("waiting", ""), state("done", `,"redriven":1,"waiting":0`))}, 0},
		{"redrive is lost", "redrive payment/o-1 --by ada", "", answers{getLetters: says(200, one), redrive: says(202, state("waiting", "")),
			getRequest: says(404, refusal(404, "not-found", ""))}, 5},
		{"redrive refused", "redrive payment/o-1 --by ada", "", answers{getLetters: says(200, one),
			redrive: says(200, state("refused", `,"message":"the letter is gone"`))}, 4},
		{"redrive too often", "redrive payment/o-1 --by ada", "", answers{getLetters: says(200, one),
			redrive: says(409, refusal(409, "redriven-too-often", "/force"))}, 4},
		{"redrive unknown", "redrive payment/o-1 --by ada", "", answers{getLetters: says(200, page(""))}, 5},
		{"redrive nobody", "redrive payment/o-1 --by=", "", answers{}, 2},
		{"redrive what", "redrive", "", answers{}, 2},
		{"redrive no name", "redrive payment/", "", answers{}, 2},
		{"redrive both", "redrive o-1 --all", "", answers{}, 2},
		{"redrive group and all", "redrive --participant payment --all", "", answers{}, 2},

		{"redrive group", "redrive --participant payment --class permanent --type OrderPlaced --by ada --rate 1000 --limit 2 --force --reason fixed", "",
			answers{getLetters: parked(), redrive: byOrder(nil)}, 0},
		{"redrive all, some fail", "redrive --all --by ada", "", answers{getLetters: parked(), redrive: byOrder(answers{
			"o-2": says(200, state("failed", `,"redriven":0,"waiting":1,"letter_id":"e-1","class":"permanent","message":"still no"`)),
			"o-3": says(404, refusal(404, "not-found", "order_id"))})}, 4},
		{"redrive all refused", "redrive --all --limit 1 --by ada", "", answers{getLetters: parked(),
			redrive: says(400, refusal(400, "invalid-request", "/by"))}, 1},
		{"redrive all", "redrive --all --by ada", "", answers{getLetters: parked(), redrive: byOrder(nil)}, 0},
		{"redrive all of nothing", "redrive --all --by ada", "", answers{getLetters: says(200, page(""))}, 0},
		{"redrive dry run", "redrive --participant payment --type OrderPlaced --dry-run --by ada", "", answers{getLetters: parked()}, 0},
		{"redrive passes over", "redrive --all --limit 3 --by ada", "", answers{getLetters: parked(), redrive: byOrder(nil)}, 0},
		{"redrive too fast", "redrive --all --rate 1001", "", answers{}, 2},
		{"redrive negative limit", "redrive --all --limit -1", "", answers{}, 2},

		{"discard", "discard payment/o-1 --by ada --reason test", "", answers{getLetters: says(200, one),
			discard: says(200, strings.Replace(state("done", `,"waiting":1`), `"redrive"`, `"discard"`, 1))}, 0},
		{"discard another", "discard payment/o-1 --letter e-2 --by ada --reason test", "",
			answers{getLetters: says(200, one), discard: says(409, refusal(409, "letter-not-waiting", "/letter_id"))}, 1},
		{"discard nothing left", "discard payment/o-1 --by ada --reason test", "", answers{getLetters: says(200, page(""))}, 5},
		{"discard with an empty reason", "discard payment/o-1 --by ada --reason=", "", answers{}, 2},
		{"discard without a reason", "discard payment/o-1", "", answers{}, 2},

		{"edit", "edit payment/o-1 --by ada --reason wrong --payload -", `{"payment_method":"pm_card_visa"}`, answers{getLetters: says(200, one),
			edit: says(200, strings.Replace(state("done", `,"redriven":1,"waiting":0`), `"redrive"`, `"edit"`, 1))}, 0},
		{"edit invalid", "edit payment/o-1 --by ada --reason wrong --payload -", `{"x":1}`, answers{getLetters: says(200, one),
			edit: says(422, refusal(422, "invalid-payload", "/payload/x"))}, 1},
		{"edit no object", "edit payment/o-1 --by ada --reason wrong --payload -", "[]", answers{getLetters: says(200, one)}, 1},
		{"edit no JSON", "edit payment/o-1 --by ada --reason wrong --payload -", "{\n\"x\":\n}", answers{}, 2},
		{"edit no file", "edit payment/o-1 --by ada --reason wrong --payload testdata/none.json", "", answers{}, 2},
		{"edit without a terminal", "edit payment/o-1 --by ada --reason wrong", "", answers{}, 2},
		{"edit without a reason", "edit payment/o-1 --by ada", "", answers{}, 2},

		{"log", "log payment/o-1 --page-size 7", "", answers{getLog: says(200, fmt.Sprintf(`{"entries":[%s],"next_page_token":"more"}`,
			strings.Join(trail, ",")))}, 0},
		{"log empty", "log", "", answers{getLog: says(200, `{"entries":[],"next_page_token":""}`)}, 0},
		{"behind", "log", "", answers{getLog: says(503, refusal(503, "read-model-behind", ""))}, 1},
		{"unknown", "lst", "", answers{}, 2},
		{"help", "--help", "", answers{}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := serve(t, tc.answers)
			t.Setenv("TROUPE_CONSOLE_URL", c.url)
			t.Setenv("USER", "operator")
			code, out, errs := c.run(tc.in, append([]string{"dead-letters"}, strings.Fields(tc.args)...)...)
			if code != tc.code {
				t.Errorf("exit code %d, want %d", code, tc.code)
			}
			got := fmt.Sprintf("$ troupe dead-letters %s\n%s%sexit code %d\n", tc.args, out, marked("! ", errs), code)
			if len(c.asked) > 0 {
				got += "\nasked\n" + marked("  ", strings.Join(c.asked, "\n")+"\n")
			}
			golden(t, got)
		})
	}
}

// marked puts a mark before each line.
func marked(mark, text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(mark + line)
	}
	return b.String()
}

func golden(t *testing.T, got string) {
	t.Helper()
	name := filepath.Join("testdata", strings.ReplaceAll(filepath.Base(t.Name()), ",", "")+".txt")
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("other than %s; go test -update writes it (-want +got):\n%s", name, diff)
	}
}
