package service_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/pkg/config"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/lifecycle"
	"github.com/troupe-dev/troupe/pkg/service"
	"github.com/troupe-dev/troupe/pkg/taskstore/storetest"
)

// started is a service that runs, and what it did, in order.
type started struct {
	url  string
	did  []string
	stop func() error
}

func start(t *testing.T, open func(*service.Service) error) *started {
	t.Helper()
	cfg, err := config.Load[service.ParticipantConfig](nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Kafka, cfg.Redis.Addrs = brokertest.Fresh(t), []string{storetest.Addr(t)}
	listening, ended := make(chan net.Addr, 1), make(chan error, 1)
	cfg.Listening = func(a net.Addr) { listening <- a }
	ctx, cancel := context.WithCancel(context.Background())
	s := &started{}
	go func() {
		ended <- service.Run(ctx, cfg.Start("toy", "127.0.0.1:0"), func(svc *service.Service) error {
			svc.OnStop(func() { s.did = append(s.did, "closed") })
			svc.AddPart(lifecycle.Part{Name: "part", Run: func(ctx context.Context) error {
				<-ctx.Done()
				resp, err := http.Get(s.url + "/livez") //nolint:noctx // the service is about to end
				switch {
				case err != nil:
					s.did = append(s.did, "stopped, HTTP closed")
				case resp.Close:
					s.did = append(s.did, "stopped, HTTP answers for the last time")
				default:
					s.did = append(s.did, "stopped, HTTP open")
				}
				return nil
			}})
			return open(svc)
		})
	}()
	s.stop = func() error { cancel(); return <-ended }
	select {
	case a := <-listening:
		s.url = "http://" + a.String()
		return s
	case err := <-ended:
		ended <- err
		return s
	}
}

func get(t *testing.T, url string) (code int, body string) {
	t.Helper()
	resp, err := http.Get(url) //nolint:noctx // loopback
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// Operators see why a service is not ready, and its parts stop while they look on.
func TestAServiceWithoutAnAPIAnswersUntilItsPartsHaveStopped(t *testing.T) {
	s := start(t, func(svc *service.Service) error {
		svc.AddCheck("door", func() error { return errors.New("nobody answers") })
		return nil
	})
	if code, body := get(t, s.url+"/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "nobody answers") {
		t.Errorf("readyz: %d %s", code, body)
	}
	if resp, err := http.Get(s.url + "/livez"); err != nil || resp.StatusCode != http.StatusOK || resp.Close { //nolint:noctx // loopback
		t.Errorf("livez: %v %+v", err, resp)
	}
	if code, body := get(t, s.url+"/metrics"); code != http.StatusOK || !strings.Contains(body, "go_goroutines") {
		t.Errorf("metrics: %d", code)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if want := []string{"stopped, HTTP answers for the last time", "closed"}; !slices.Equal(s.did, want) {
		t.Errorf("did %q, want %q", s.did, want)
	}
}

// Requests of an API are answered by the parts, so it closes before them.
func TestAnAPIClosesBeforeTheParts(t *testing.T) {
	s := start(t, func(svc *service.Service) error {
		svc.API = func(operators func(chi.Router)) http.Handler {
			r := httpdoor.NewRouter()
			r.Get("/mine", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
			operators(r)
			return r
		}
		return nil
	})
	if code, _ := get(t, s.url+"/mine"); code != http.StatusNoContent {
		t.Errorf("its own route: %d", code)
	}
	if code, _ := get(t, s.url+"/readyz"); code != http.StatusOK {
		t.Errorf("readyz: %d", code)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if want := []string{"stopped, HTTP closed", "closed"}; !slices.Equal(s.did, want) {
		t.Errorf("did %q, want %q", s.did, want)
	}
}

// What was opened is closed when the rest cannot be, addresses too.
func TestAStartThatFailsClosesWhatItOpened(t *testing.T) {
	var addr net.Addr
	s := start(t, func(svc *service.Service) (err error) {
		addr, err = svc.HTTP("second", "127.0.0.1:0", httpdoor.Config{}, http.NotFoundHandler())
		return errors.Join(err, errors.New("no mail server is named"))
	})
	if err := s.stop(); err == nil || !strings.Contains(err.Error(), "no mail server is named") {
		t.Errorf("ended with %v", err)
	}
	if !slices.Equal(s.did, []string{"closed"}) {
		t.Errorf("did %q", s.did)
	}
	ln, err := net.Listen("tcp", addr.String())
	if err != nil {
		t.Fatalf("the address is still taken: %v", err)
	}
	_ = ln.Close()
}
