package web_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/view/viewtest"
)

// burstRate is how many orders are placed a second; each is four events.
const burstRate = 1000

// watcher measures frames and long tasks in the page for ten seconds once something flows, and tells the test.
const watcher = `{
const frames = [], tasks = [];
let last, most = 0;
new PerformanceObserver((list) => tasks.push(...list.getEntries().map((e) => e.duration))).observe({ type: 'longtask' });
const began = performance.now() + 3000;
function frame(now) {
  if (last && now > began) frames.push(now - last);
  last = now;
  most = Math.max(most, document.querySelectorAll('#dots circle').length);
  if (now < began + 10000) return requestAnimationFrame(frame);
  frames.sort((a, b) => a - b);
  const at = (q) => frames[Math.floor(q * (frames.length - 1))];
  fetch('/measured', { method: 'POST', body: JSON.stringify({ frames: frames.length, p50: at(.5), p99: at(.99), worst: at(1), tasks, dots: most,
    shown: document.querySelector('#map .topic .rate').textContent }) });
}
requestAnimationFrame(frame);
}`

type measured struct {
	Frames, Dots    int
	P50, P99, Worst float64 // ms between frames
	Tasks           []float64
	Shown           string
}

// TestMapStaysResponsive needs a browser: CHROMIUM=/usr/bin/chromium go test -run MapStaysResponsive -v ./internal/web
func TestMapStaysResponsive(t *testing.T) {
	chromium := os.Getenv("CHROMIUM")
	if chromium == "" {
		t.Skip("CHROMIUM does not say where a browser is")
	}
	p, _ := live(t, "")
	console, err := url.Parse(p.url)
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan measured, 1)
	mux := http.NewServeMux()
	mux.Handle("/", httputil.NewSingleHostReverseProxy(console))
	mux.HandleFunc("GET /static/map.js", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		resp := p.open(r.URL.Path)
		defer func() { _ = resp.Body.Close() }()
		if _, err := io.Copy(w, resp.Body); err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(w, watcher)
	})
	mux.HandleFunc("POST /measured", func(_ http.ResponseWriter, r *http.Request) {
		var m measured
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			t.Error(err)
		}
		told <- m
	})
	srv := httptest.NewServer(mux)
	defer srv.Close()
	browser := exec.CommandContext(t.Context(), chromium, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
		"--disable-background-networking", "--window-size=1280,900", "--user-data-dir="+t.TempDir(), "--remote-debugging-port=0", srv.URL)
	if err := browser.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = browser.Process.Kill()
		_ = browser.Wait() // it was killed
	}()
	placed := 0
	began, tick, late := time.Now(), time.NewTicker(10*time.Millisecond), time.After(2*time.Minute)
	defer tick.Stop()
	for {
		select {
		case m := <-told:
			t.Logf("%.0f orders/s, shown as %s events/s: %d frames in 10 s, %.1f ms apart (p50), %.1f ms (p99), %.1f ms at worst; "+
				"%d tasks longer than 50 ms %v; %d dots at most",
				float64(placed)/time.Since(began).Seconds(), m.Shown, m.Frames, m.P50, m.P99, m.Worst, len(m.Tasks), m.Tasks, m.Dots)
			if m.Frames < 300 || m.Dots == 0 || m.Dots > 60 {
				t.Errorf("%d frames, %d dots", m.Frames, m.Dots)
			}
			return
		case <-tick.C:
			for ; placed < int(time.Since(began).Seconds()*burstRate); placed++ {
				p.Clock = time.Now()
				p.Put(p.Confirmed(viewtest.ID(fmt.Sprint(placed)), "c-1")...)
			}
		case <-late:
			t.Fatal("the page told nothing")
		}
	}
}
