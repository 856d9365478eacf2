package brokertest

import (
	"errors"
	"testing"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/fault"
)

// identities: a topic keeps its identity, and one that is made anew under its name has another.
func (s *suite) identities(t *testing.T) {
	s.topics(t, 1, "a", "b")
	first := s.identify(t, "a", "b", "nobody")
	if len(first) != 2 || first["a"] == "" || first["a"] == first["b"] {
		t.Fatalf("identities %v of two topics and one that does not exist", first)
	}
	s.Delete("b")
	for len(s.identify(t, "a", "b")) == 2 { // brokers hear of it one by one
	}
	for err := errors.New("not tried"); err != nil; { // the client may not know yet that it is gone
		err = s.Provision(s.ctx, []broker.Topic{{Name: "b", Partitions: 1}})
		if err != nil && (fault.ClassOf(err) != fault.Unavailable || s.ctx.Err() != nil) {
			t.Fatalf("provision: %v", err)
		}
	}
	for second := s.identify(t, "a", "b"); ; second = s.identify(t, "a", "b") {
		if second["a"] != first["a"] || second["b"] == first["b"] {
			t.Fatalf("identities %v, and %v after b was made anew", first, second)
		}
		if second["b"] != "" {
			return
		}
	}
}

func (s *suite) identify(t *testing.T, topics ...string) map[string]string {
	t.Helper()
	ids, err := s.Identities(s.ctx, topics)
	if err != nil {
		t.Fatalf("identities: %v", err)
	}
	return ids
}
