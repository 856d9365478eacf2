package access_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// writer is order's client of facts: each is tried again until it is taken, as the engine does.
type writer struct {
	*broker.Client
	t     *testing.T
	wrote int
}

var facts = broker.TopicPartition{Topic: "order.events.v1"}

func write(t *testing.T, cfg broker.Config) *writer {
	t.Helper()
	c, err := broker.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &writer{Client: c, t: t}
}

// try writes the next fact once.
func (w *writer) try(ctx context.Context) (err error) {
	w.t.Helper()
	r := broker.Record{Key: []byte("k"), Value: []byte(fmt.Sprintf("%s %d", w.t.Name(), w.wrote))}
	w.Produce(ctx, []broker.Batch{{TopicPartition: facts, Records: []broker.Record{r}}}, func(p broker.Produced) { err = p.Err })
	if err == nil {
		w.wrote++
	} else if fault.ClassOf(err) != fault.Unavailable &&
		!strings.Contains(err.Error(), "Topic Authorization Failed") {
		w.t.Fatalf("refused for good: %v", err)
	}
	return err
}

func (w *writer) untilTaken() {
	w.t.Helper()
	until(w.t, "a fact is taken", func(ctx context.Context) bool { return w.try(ctx) == nil })
}

func (w *writer) untilRefused() {
	w.t.Helper()
	until(w.t, "a fact is refused", func(ctx context.Context) bool { return w.try(ctx) != nil })
	w.staysRefused()
}

func (w *writer) staysRefused() {
	w.t.Helper()
	for range 5 { // more do not say more
		if w.try(w.t.Context()) == nil {
			w.t.Fatal("taken while it should be refused")
		}
	}
}

// allRead finds every fact that was taken, by the super user.
func (w *writer) allRead(s secured) {
	w.t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(s.open), kgo.ConsumeTopics(facts.Topic))
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	missing := map[string]bool{}
	for n := range w.wrote {
		missing[fmt.Sprintf("%s %d", w.t.Name(), n)] = true
	}
	until(w.t, "every fact is there", func(ctx context.Context) bool {
		fetched, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		c.PollFetches(fetched).EachRecord(func(r *kgo.Record) { delete(missing, string(r.Value)) })
		return len(missing) == 0
	})
}

func TestAGrantThatIsTakenAwayIsWaitedFor(t *testing.T) {
	s := prepared(t)
	said := capture(t)
	w := write(t, s.as(t, "order"))
	w.untilTaken()
	super := s.client(t, "")
	gone := kmsg.NewPtrDeleteACLsRequest()
	topic, user := facts.Topic, "User:order"
	gone.Filters = []kmsg.DeleteACLsRequestFilter{{ResourceType: kmsg.ACLResourceTypeTopic, ResourceName: &topic,
		ResourcePatternType: kmsg.ACLResourcePatternTypeLiteral, Principal: &user, Operation: kmsg.ACLOperationWrite,
		PermissionType: kmsg.ACLPermissionTypeAllow}}
	if a, err := gone.RequestWith(t.Context(), super); err != nil || len(a.Results[0].MatchingACLs) != 1 {
		t.Fatalf("take the grant away: %+v, %v", a, err)
	}
	w.untilRefused()
	admin, err := broker.Open(broker.Config{Brokers: []string{s.open}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = admin.Close() }()
	if err := admin.Allow(t.Context(), []broker.Grant{{Principal: "order", Kind: "topic", Name: facts.Topic, Operation: "Write"}}); err != nil {
		t.Fatal(err)
	}
	w.untilTaken()
	w.allRead(s)
	once(t, said(), "Topic Authorization Failed")
}

func TestAPasswordThatIsRotatedIsTaken(t *testing.T) {
	s := prepared(t)
	said := capture(t)
	admin, err := broker.Open(broker.Config{Brokers: []string{s.open}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = admin.Close() }()
	file := s.file("order.kafka-password")
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	cfg := s.as(t, "order")
	t.Cleanup(func() { put(t, file, old) })
	w := write(t, cfg)
	w.untilTaken()
	if err := admin.SetPassword(t.Context(), "order", "another"); err != nil {
		t.Fatal(err)
	}
	w.untilTaken() // who is connected stays so
	// The controller answers before the broker has the new password: who comes until then is let in, and stays.
	until(t, "who comes with the old password is refused", func(ctx context.Context) bool {
		w = &writer{Client: write(t, cfg).Client, t: t, wrote: w.wrote}
		return w.try(ctx) != nil
	})
	w.staysRefused()
	put(t, file, []byte("another\n"))
	w.untilTaken()
	w.allRead(s)
	once(t, said(), "SASL Authentication Failed")
}

// The broker's certificate is renewed by another authority, while a client trusts the old one; then that learns of it.
func TestACertificateThatIsRenewedIsTaken(t *testing.T) {
	s := prepared(t)
	said := capture(t)
	renewed := t.TempDir()
	if out, err := exec.Command("../../../../scripts/secrets", renewed).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	broken := map[string][]byte{}
	for _, name := range []string{"kafka.pem", "ca.crt"} {
		b, err := os.ReadFile(s.file(name))
		if err != nil {
			t.Fatal(err)
		}
		broken[name] = b
	}
	move := func(name string) {
		b, err := os.ReadFile(filepath.Join(renewed, name))
		if err != nil {
			t.Fatal(err)
		}
		put(t, s.file(name), b)
	}
	t.Cleanup(func() {
		for name, b := range broken {
			put(t, s.file(name), b)
		}
		s.reload(t)
	})
	cfg := s.as(t, "order")
	w := write(t, cfg)
	w.untilTaken()
	move("kafka.pem")
	s.reload(t)
	w = &writer{Client: write(t, cfg).Client, t: t, wrote: w.wrote}
	w.untilRefused()
	move("ca.crt")
	w.untilTaken()
	w.allRead(s)
	once(t, said(), "failed to verify certificate")
}

// reload has the broker read its certificate again.
func (s secured) reload(t *testing.T) {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(s.open))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	value := s.file("kafka.pem")
	r := kmsg.NewPtrIncrementalAlterConfigsRequest()
	r.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeBroker, ResourceName: "1",
		Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: "listener.name.scram.ssl.keystore.location", Value: &value}}}}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second) // a test's own has ended in its clean-up
	defer cancel()
	a, err := r.RequestWith(ctx, c)
	if err == nil {
		err = kerr.ErrorForCode(a.Resources[0].ErrorCode)
	}
	if err != nil {
		t.Fatalf("reload the broker's certificate: %v", err)
	}
	b, err := os.ReadFile(value)
	if err != nil {
		t.Fatal(err)
	}
	_, b, _ = bytes.Cut(b, []byte("-----END PRIVATE KEY-----\n"))
	want, _ := pem.Decode(b)
	// The broker says yes before it has done so, and its network threads, which take connections in turns, do it one after
	// the other.
	const allThreads = 16
	for inARow := 0; ctx.Err() == nil; {
		conn, err := tls.Dial("tcp", s.users, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // it is looked at here
		if err != nil {
			continue
		}
		shown := conn.ConnectionState().PeerCertificates[0].Raw
		_ = conn.Close()
		if inARow++; !bytes.Equal(shown, want.Bytes) {
			inARow = 0
		}
		if inARow == allThreads {
			return
		}
	}
	t.Fatal("the broker does not show its new certificate")
}

// once holds that an outage was said in one line, for this reason, and its end in one; a second pair may be of a broker
// whose connection failed at the very end of it.
func once(t *testing.T, said, why string) {
	t.Helper()
	begins, ends := strings.Count(said, "waiting for kafka"), strings.Count(said, "kafka is back")
	if begins < 1 || begins > 2 || begins != ends || strings.Count(said, why) != begins {
		t.Errorf("want one line for %q and one for its end; said:\n%s", why, said)
	}
}

// capture returns what the process logs from now on.
func capture(t *testing.T) func() string {
	t.Helper()
	var mu sync.Mutex
	var b bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(locked{&mu, &b}, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		return b.String()
	}
}

type locked struct {
	mu *sync.Mutex
	b  *bytes.Buffer
}

func (l locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func put(t *testing.T, file string, b []byte) {
	t.Helper()
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
