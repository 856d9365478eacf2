package notification

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	netmail "net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/pkg/config"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant"
	"github.com/troupe-dev/troupe/pkg/taskstore/storetest"
)

const (
	partitions = 2
	patience   = 30 * time.Second
)

// mailServer takes mail and counts it by Message-ID; busy makes it hang up on everybody. It refuses refused@…, and puts
// later@… off while it is told to.
type mailServer struct {
	addr string
	mu   sync.Mutex
	busy bool
	off  bool           // later@… is put off
	got  map[string]int // by Message-ID
	// held, when set, gets a channel for each mail, which is answered once that is closed.
	held chan chan struct{}
}

func serveMail(t *testing.T) *mailServer {
	s := &mailServer{got: map[string]int{}}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = ln.Addr().String()
	srv := gosmtp.NewServer(gosmtp.BackendFunc(func(*gosmtp.Conn) (gosmtp.Session, error) { return s, nil }))
	srv.ErrorLog = log.New(io.Discard, "", 0)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }() // received below
	t.Cleanup(func() {
		_ = srv.Close()
		if err := <-served; err != nil {
			t.Errorf("mail server: %v", err)
		}
	})
	return s
}

func (s *mailServer) Reset()                                     {}
func (s *mailServer) Logout() error                              { return nil }
func (s *mailServer) Mail(_ string, _ *gosmtp.MailOptions) error { return nil }

func (s *mailServer) Rcpt(to string, _ *gosmtp.RcptOptions) error {
	if strings.HasPrefix(to, "refused@") {
		return &gosmtp.SMTPError{Code: 550, EnhancedCode: gosmtp.EnhancedCode{5, 1, 1}, Message: "nobody here"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.off && strings.HasPrefix(to, "later@") {
		return &gosmtp.SMTPError{Code: 450, EnhancedCode: gosmtp.EnhancedCode{4, 1, 2}, Message: "no such domain now"}
	}
	return nil
}

func (s *mailServer) Data(r io.Reader) error {
	m, err := netmail.ReadMessage(r)
	if err != nil {
		return err
	}
	if s.held != nil {
		hold := make(chan struct{})
		s.held <- hold
		<-hold
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy {
		return &gosmtp.SMTPError{Code: 421, Message: "busy"}
	}
	s.got[strings.Trim(m.Header.Get("Message-Id"), "<>")]++
	return nil
}

func (s *mailServer) setBusy(busy bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = busy
}

func (s *mailServer) putOff(off bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.off = off
}

func (s *mailServer) count(messageID string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got[messageID]
}

// world is what notification lives in, and the service when it runs.
type world struct {
	t    *testing.T
	cfg  Config
	log  *broker.Client
	mail *mailServer
	url  string
}

func newWorld(t *testing.T) *world {
	cfg, err := config.Load[Config](nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, mail: serveMail(t)}
	cfg.Kafka, cfg.Redis.Addrs = brokertest.Fresh(t), []string{storetest.Addr(t)}
	cfg.HTTPAddr, cfg.Partitions, cfg.Mail.Addr = "127.0.0.1:0", partitions, w.mail.addr
	w.cfg = cfg
	if w.log, err = broker.Open(cfg.Kafka); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.log.Close() })
	return w
}

// provision makes the topics that the service waits for.
func (w *world) provision() {
	w.t.Helper()
	var topics []broker.Topic
	for _, name := range []string{"order", "payment"} {
		topics = append(topics, broker.Topic{Name: participant.FactsTopic(name), Partitions: partitions, Retention: 720 * time.Hour})
	}
	if err := w.log.Provision(w.t.Context(), topics); err != nil {
		w.t.Fatal(err)
	}
}

// start runs the service; stop ends it and fails the test if it did not end well.
func (w *world) start() (stop func()) {
	w.t.Helper()
	listening := make(chan net.Addr, 1)
	cfg := w.cfg
	cfg.Listening = func(a net.Addr) { listening <- a }
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, cfg) }() // received in every case
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("service ended with %v", err)
		}
	})
	select {
	case a := <-listening:
		w.url = "http://" + a.String()
	case err := <-ended:
		cancel()
		w.t.Fatalf("service did not start: %v", err)
	}
	w.t.Cleanup(stop)
	return stop
}

func (w *world) eventually(what string, cond func() bool) {
	w.t.Helper()
	deadline := time.After(patience)
	for !cond() {
		select {
		case <-deadline:
			w.t.Fatalf("not within %s: %s", patience, what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (w *world) ready() {
	w.t.Helper()
	w.eventually("ready", func() bool { code, _ := w.get("/readyz"); return code == http.StatusOK })
}

func (w *world) get(path string) (int, string) {
	w.t.Helper()
	resp, err := http.Get(w.url + path)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// publish appends an event of another participant.
func (w *world) publish(from, order string, m event.Message, sequence uint64, previous string) {
	w.t.Helper()
	data, err := event.Encode(m.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	e := m.Event
	e.Source, e.Subject, e.Sequence, e.PreviousID, e.Data = from, order, sequence, previous, data
	tp := broker.TopicPartition{Topic: participant.FactsTopic(from), Partition: broker.Partition([]byte(order), partitions)}
	w.log.Produce(w.t.Context(), []broker.Batch{{TopicPartition: tp, Records: []broker.Record{event.ToRecord(e, tp.Topic, tp.Partition)}}},
		func(p broker.Produced) {
			if p.Err != nil {
				w.t.Errorf("produce: %v", p.Err)
			}
		})
}

// facts reads what the service has published about an order.
func (w *world) facts(order string) []event.Message {
	w.t.Helper()
	tp := broker.TopicPartition{Topic: participant.FactsTopic(Name), Partition: broker.Partition([]byte(order), partitions)}
	ends, err := w.log.Ends(w.t.Context(), []broker.TopicPartition{tp})
	if fault.ClassOf(err) == fault.Unavailable { // a topic made a moment ago
		return nil
	}
	if err != nil {
		w.t.Fatal(err)
	}
	var found []event.Message
	for at := int64(0); at < ends[tp]; {
		got, err := w.log.Fetch(w.t.Context(), []broker.Position{{TopicPartition: tp, Offset: at}})
		if err != nil {
			w.t.Fatal(err)
		}
		for _, f := range got {
			for _, r := range f.Records {
				e, err := event.FromRecord(r)
				if err != nil {
					w.t.Fatal(err)
				}
				m, err := event.Decode(e)
				if err != nil {
					w.t.Fatal(err)
				}
				if m.Subject == order {
					found = append(found, m)
				}
			}
			at = max(at, f.Next)
		}
	}
	return found
}

func named(m event.Message, id string) event.Message {
	m.ID = event.MakeID(id)
	return m
}
