package participant_test

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant"
	"github.com/troupe-dev/troupe/pkg/participant/admission"
	"github.com/troupe-dev/troupe/pkg/taskstore"
)

// silentServer takes connections and never answers.
func silentServer(t *testing.T) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { _, _ = io.Copy(io.Discard, c); _ = c.Close() })
		}
	})
	t.Cleanup(func() { _ = ln.Close(); conns.Wait() })
	return ln.Addr().String()
}

// While Redis is silent, requests must not queue behind each other: each is answered within its bound, whatever their
// number.
func TestSilentRedisHoldsNoRequest(t *testing.T) {
	rdb, err := taskstore.Config{Addrs: []string{silentServer(t)}}.Client()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rdb.Close() }()
	log := brokertest.New()
	if err := log.Provision(t.Context(), []broker.Topic{{Name: participant.FactsTopic(doorman().Name), Partitions: 1}}); err != nil {
		t.Fatal(err)
	}
	d := admission.New(doorman(), participant.Config{Log: log, Redis: rdb, Partitions: 1})
	const requests, bound = 1500, time.Minute // each is answered after 5 s; without one, the last waited for minutes
	var atOnce atomic.Int32
	began := time.Now()
	var all sync.WaitGroup
	for range requests {
		all.Go(func() {
			_, err := d.Admit(t.Context(), "o1", "tea", 5*time.Second)
			if f, ok := errors.AsType[*fault.Error](err); !ok || f.Class != fault.Unavailable || f.RetryAfter == 0 {
				t.Errorf("not told to come back: %v", err)
			}
			if strings.Contains(err.Error(), "wait for the store or the fold already") {
				atOnce.Add(1)
			}
		})
	}
	all.Wait()
	if took := time.Since(began); took > bound {
		t.Errorf("the last of %d requests was answered after %s", requests, took)
	}
	if n := atOnce.Load(); n < requests-1000 {
		t.Errorf("%d were refused at once, not all that are more than 1000", n)
	}
	if _, _, err := d.Find(t.Context(), "o1", 0); fault.ClassOf(err) != fault.Unavailable {
		t.Errorf("find: %v", err)
	}
	if err := d.Admitted(t.Context(), "o1", "tea", 1); fault.ClassOf(err) != fault.Unavailable {
		t.Errorf("admitted: %v", err)
	}
}
