package gateway

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// reopen closes a simulator and starts another on its ledger.
func reopen(t *testing.T, s *Simulator, dir string, now func() time.Time) *Simulator {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return open(t, dir, now)
}

func TestRestartForgetsNothing(t *testing.T) {
	dir := t.TempDir()
	c := newClock()
	s := open(t, dir, c.Now)
	h := s.Handler()
	paid := charged(t, h, "o-1")
	refund := ask(t, h, "POST", "/v1/refunds", "r", "payment_intent="+paid, "amount=500").want(200)
	poor := create(t, h, "o-2", "pm_card_chargeDeclined")
	decline := ask(t, h, "POST", "/v1/payment_intents/"+poor+"/confirm", "d").want(402)
	late := create(t, h, "o-3", "pm_card_visa")
	ask(t, h, "POST", "/v1/payment_intents/"+late+"/cancel", "c").want(200)
	read := func(h http.Handler) string {
		var all []string
		for _, path := range []string{"/ledger", search("o-1"), "/v1/refunds?payment_intent=" + paid, "/v1/payment_intents/" + poor} {
			all = append(all, ask(t, h, "GET", path, "").want(200).body)
		}
		return strings.Join(all, "\n")
	}
	before := read(h)
	h = reopen(t, s, dir, c.Now).Handler()
	if after := read(h); after != before {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
	for _, again := range []answered{
		ask(t, h, "POST", "/v1/refunds", "r", "payment_intent="+paid, "amount=500").want(200),
		ask(t, h, "POST", "/v1/payment_intents/"+poor+"/confirm", "d").want(402),
	} {
		if again.header.Get("Idempotent-Replayed") != "true" || again.body != refund.body && again.body != decline.body {
			t.Errorf("repeated after the restart: %s", again.body)
		}
	}
	if rest := ask(t, h, "POST", "/v1/refunds", "", "payment_intent="+paid).want(200); rest.get("amount") != 2000.0 {
		t.Errorf("the rest: %s", rest.body)
	}
}

// What is refused and has no key changes nothing and is remembered by nobody: it leaves no line.
func TestARefusalWithoutAKeyLeavesNoLine(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	unpaid := create(t, s.Handler(), "o-1", "pm_card_visa")
	ask(t, s.Handler(), "POST", "/v1/refunds", "", "payment_intent="+unpaid).want(400)
	paid := charged(t, s.Handler(), "o-2")
	s = reopen(t, s, dir, nil)
	ask(t, s.Handler(), "GET", "/v1/payment_intents/"+paid, "").want(200)
}

func TestTornLastLineIsCutOff(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	id := charged(t, s.Handler(), "o-1")
	path := filepath.Join(dir, ledgerFile)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(whole, []byte("\n"))
	confirmed := len(whole) - len(lines[1])
	for _, cut := range []int{confirmed, confirmed + 1, (confirmed + len(whole)) / 2, len(whole) - 2, len(whole) - 1} {
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		s = reopen(t, s, dir, nil)
		if got := ask(t, s.Handler(), "GET", "/v1/payment_intents/"+id, ""); got.text("status") != "requires_confirmation" {
			t.Fatalf("cut at %d: %s", cut, got.body)
		}
		if now, err := os.ReadFile(path); err != nil || len(now) != confirmed {
			t.Fatalf("cut at %d: %d bytes left, %v; want %d", cut, len(now), err, confirmed)
		}
	}
	ask(t, s.Handler(), "POST", "/v1/payment_intents/"+id+"/confirm", "").want(200)
	s = reopen(t, s, dir, nil)
	if got := ask(t, s.Handler(), "GET", "/v1/payment_intents/"+id, ""); got.text("status") != "succeeded" {
		t.Errorf("written after the cut: %s", got.body)
	}
}

func TestDamagedLedgerIsRefused(t *testing.T) {
	good := `{"at":"2026-03-01T12:00:00Z","intent":{"id":"pi_1","amount":2500,"currency":"eur","status":"succeeded","created":"2026-03-01T12:00:00Z"}}` + "\n"
	for _, bad := range []string{"garbage\n", "{}\n", `{"at":"2026-03-01T12:00:00Z","colour":"blue"}` + "\n", "\n"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, ledgerFile), []byte(good+bad+good), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := New(Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "line 2") || !strings.Contains(err.Error(), ledgerFile) {
			t.Errorf("%q: %v; want an error that names file and line", bad, err)
		}
	}
	if _, err := New(Config{Dir: filepath.Join(t.TempDir(), "\x00")}); err == nil {
		t.Error("a folder that cannot be was taken")
	}
}

// A ledger that cannot be written answers nothing as done, and ends the simulator.
func TestUnwritableLedger(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	h := s.Handler()
	ended := make(chan error, 1)
	go func() { ended <- s.ledger.Watch(t.Context()) }()
	full := errors.New("no space left on device")
	_ = s.ledger.Fail(full)
	ask(t, h, "POST", "/v1/payment_intents", "k", newIntentForm...).want(500)
	ask(t, h, "POST", "/v1/payment_intents", "k", newIntentForm...).want(500)
	ask(t, h, "GET", "/readyz", "").want(503)
	if err := <-ended; !errors.Is(err, full) {
		t.Errorf("ended with %v", err)
	}
}

// childDir names, for this test binary, a folder to serve a simulator on instead of running tests.
const childDir = "GATEWAY_TEST_CHILD_DIR"

func TestMain(m *testing.M) {
	dir := os.Getenv(childDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	s, err := New(Config{Dir: dir})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(ln.Addr())
	fmt.Println(http.Serve(ln, s.Handler()))
	os.Exit(1)
}

// process starts a simulator as a process of its own, and returns where it listens and what kills it.
func process(t *testing.T, dir string) (url string, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	kill = func() {
		once.Do(func() {
			_ = cmd.Process.Kill() // SIGKILL
			_ = cmd.Wait()
		})
	}
	t.Cleanup(kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return "http://" + strings.TrimSpace(line), kill
}

// What was answered before a kill -9 is there after it, and what was not answered can be asked again with the same key, and is
// done once.
func TestKillForgetsNothing(t *testing.T) {
	dir := t.TempDir()
	const orders, answersBeforeKill = 120, 100
	var answers atomic.Int64
	enough, killed := make(chan struct{}), make(chan struct{})
	url, kill := process(t, dir)
	post := func(url, path, key string, form ...string) (status int, id string) {
		if answers.Load() >= answersBeforeKill { // so that the kill comes before some orders are charged
			<-killed
		}
		r, err := http.NewRequestWithContext(t.Context(), "POST", url+path, strings.NewReader(encode(form)))
		if err != nil {
			t.Error(err)
			return 0, ""
		}
		r.Header.Set("Authorization", "Bearer sk_test_x")
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Idempotency-Key", key)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return 0, ""
		}
		defer func() { _ = resp.Body.Close() }()
		var b bytes.Buffer
		if _, err := b.ReadFrom(resp.Body); err != nil {
			return 0, ""
		}
		if answers.Add(1) == answersBeforeKill {
			close(enough)
		}
		return resp.StatusCode, answered{t: t, body: b.String()}.text("id")
	}
	// run charges every order and returns the intents whose confirm was answered.
	run := func(url string) map[string]string {
		var mu sync.Mutex
		done := map[string]string{}
		var wg sync.WaitGroup
		for n := range orders {
			wg.Go(func() {
				order := fmt.Sprintf("o-%d", n)
				_, id := post(url, "/v1/payment_intents", order+":create", "amount=2500", "currency=eur",
					"payment_method=pm_card_visa", "metadata[order_id]="+order)
				if id == "" {
					return
				}
				if status, _ := post(url, "/v1/payment_intents/"+id+"/confirm", order+":confirm"); status == 200 {
					mu.Lock()
					defer mu.Unlock()
					done[order] = id
				}
			})
		}
		wg.Wait()
		return done
	}
	go func() {
		defer close(killed)
		<-enough
		kill()
	}()
	before := run(url)
	if n := answers.Load(); n < answersBeforeKill || len(before) == orders {
		t.Fatalf("%d answers, %d orders charged: the kill proves nothing", n, len(before))
	}
	<-killed
	url, kill = process(t, dir)
	after := run(url)
	if len(after) != orders {
		t.Fatalf("%d of %d orders charged after the restart", len(after), orders)
	}
	for order, id := range before {
		if after[order] != id {
			t.Errorf("order %s: intent %s before the kill, %s after it", order, id, after[order])
		}
	}
	kill()
	l := ledgerOf(t, open(t, dir, nil).Handler())
	for order, id := range after {
		o := l.Orders[order]
		if len(o.Intents) != 1 || o.Intents[0].ID != id || len(o.Intents[0].Charges) != 1 {
			t.Errorf("order %s: %+v", order, o)
		}
	}
}
