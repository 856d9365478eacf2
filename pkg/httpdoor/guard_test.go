package httpdoor_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/httpdoor/httpdoortest"
	"github.com/troupe-dev/troupe/pkg/problem"
)

func TestNames(t *testing.T) {
	operators := httpdoor.Config{Hosts: []string{"desk.example", ".shop.example"}, Variable: "CONSOLE_HOSTS"}
	service := httpdoor.Config{Internal: true}
	for _, c := range []struct {
		host               string
		operators, service bool
	}{
		{"127.0.0.1:8080", true, true}, {"localhost:8080", true, true}, {"LOCALHOST", true, true}, {"troupe.localhost:1", true, true},
		{"[::1]:8080", true, true}, {"[::1]", true, true}, {"192.0.2.7", true, true}, {"192.0.2.7:80", true, true},
		{"desk.example:443", true, false}, {"desk.example.", true, false}, {"a.shop.example", true, false}, {"shop.example", false, false},
		{"order:8081", false, true}, {"order.shop.svc:8081", false, true}, {"order.shop.svc.cluster.local", false, true},
		{"host.docker.internal:8081", false, true}, {"order.shop", false, false},
		{"evil.example:8080", false, false}, {"127.0.0.1.evil.example", false, false}, {"localhost.evil.example", false, false},
		{"svc.evil.example", false, false}, {"", false, false}, {".", false, false}, {":80", false, false},
	} {
		for name, d := range map[string]struct {
			cfg  httpdoor.Config
			want bool
		}{"operators": {operators, c.operators}, "service": {service, c.service}} {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
			r.Host = c.host
			w := httptest.NewRecorder()
			d.cfg.Guard(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, r)
			if want := map[bool]int{true: 200, false: 421}[d.want]; w.Code != want {
				t.Errorf("%s, Host %q: %d, not %d: %s", name, c.host, w.Code, want, w.Body)
			}
		}
	}
}

func TestWrongHostsAreNamed(t *testing.T) {
	for _, h := range []string{"", ".", "Desk.example", "desk.example:80", "http://desk", "*", "a b"} {
		if err := httpdoor.CheckHosts("X_HOSTS", []string{"ok.example", h}); fault.ClassOf(err) != fault.Invalid || !strings.HasPrefix(err.Error(), "X_HOSTS: ") {
			t.Errorf("%q: %v", h, err)
		}
	}
	if err := httpdoor.CheckHosts("X_HOSTS", []string{"desk.example", ".shop", "order"}); err != nil {
		t.Error(err)
	}
}

func TestRouterIsADoor(t *testing.T) {
	r := httpdoor.NewRouter()
	r.Get("/things/{id}", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, httpdoor.Param(r, "id")) })
	r.Post("/things/{id}", func(http.ResponseWriter, *http.Request) {})
	r.Get("/panics", func(http.ResponseWriter, *http.Request) { panic("for the test") })
	httpdoortest.Routes(t, httpdoor.Config{}, r, httpdoortest.Header{})
	for path, want := range map[string]string{
		"/things/a": "200 a", "/%74hings/%61": "200 a", "/things/a%2Fb": "200 a/b", "/things/raw%3APGI": "200 raw:PGI", "/things/raw:PGI": "200 raw:PGI",
		"/things/%2541": "200 %41", "/things/%25zz": "200 %zz", "/things/%C3%A9": "200 é", "/panics": "500", "/nothing": "404",
	} {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		got := fmt.Sprint(w.Code)
		if w.Code == http.StatusOK {
			got += " " + w.Body.String()
		} else if w.Header().Get("Content-Type") != problem.ContentType {
			t.Errorf("%s: %s", path, w.Body)
		}
		if got != want {
			t.Errorf("%s: %s, not %s", path, got, want)
		}
	}
}

// HEAD of an answer that does not end must end, and so must the work behind it.
func TestHeadOfAStreamEnds(t *testing.T) {
	r := httpdoor.NewRouter()
	over := make(chan struct{}, 1)
	r.Get("/stream", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(http.StatusOK)
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		<-r.Context().Done()
		over <- struct{}{}
	})
	srv := httptest.NewServer(httpdoor.Config{}.Guard(r))
	defer srv.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodHead, srv.URL+"/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if <-over; resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
}

func TestSlowBodyIs408(t *testing.T) {
	r := httpdoor.NewRouter()
	r.Post("/", func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, 1<<10)); err != nil {
			problem.Write(w, r, fault.New(fault.Invalid, "read the body: %w", err))
		}
	})
	srv := httptest.NewUnstartedServer(httpdoor.Config{}.Guard(r))
	srv.Config.ReadTimeout = 100 * time.Millisecond
	srv.Config.ReadHeaderTimeout = time.Minute // a header that comes late is not answered
	srv.Start()
	defer srv.Close()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nslow"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusRequestTimeout || !resp.Close {
		t.Errorf("%d, closes the connection: %v", resp.StatusCode, resp.Close)
	}
}

func TestNoClientTakesAllStreams(t *testing.T) {
	s := httpdoor.NewStreams(3, 2)
	enter := func(remote string) (leave func(), status int) {
		var err error
		h := httpdoor.Config{}.Guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if leave, err = s.Enter(context.WithoutCancel(r.Context())); err != nil {
				problem.Write(w, r, err)
			}
		}))
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.Host, r.RemoteAddr = "localhost", remote
		r.Header.Set("X-Forwarded-For", "203.0.113."+fmt.Sprint(time.Now().UnixNano()%256))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != 200 && w.Header().Get("Retry-After") == "" {
			t.Errorf("%d without Retry-After", w.Code)
		}
		return leave, w.Code
	}
	want := func(remote string, status int) (leave func()) {
		t.Helper()
		leave, got := enter(remote)
		if got != status {
			t.Errorf("%s: %d, not %d", remote, got, status)
		}
		return leave
	}
	first := want("[2001:db8::1]:1", 200)
	want("[2001:db8::2]:2", 200)
	want("[2001:db8::3]:3", 429) // the same /64
	other := want("192.0.2.1:1", 200)
	want("192.0.2.2:1", 503)
	other()
	first()
	want("[2001:db8::1]:1", 200)
	want("[::ffff:192.0.2.1]:1", 200)
	want("192.0.2.1:1", 503)
}
