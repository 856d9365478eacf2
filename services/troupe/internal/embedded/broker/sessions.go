package broker

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	lookEvery      = 250 * time.Millisecond
	defaultSession = 10 * time.Second
	leaveWithin    = 5 * time.Second
)

// sessions ends the membership of consumers that have died. Kafka counts a member's session from the answer to its join; kfake does
// not when that answer cannot be delivered, so that a member killed while it joins would keep its partitions for ever. What is
// done here is what Kafka does: a member that has been silent for its session time-out leaves, unless it waits for an answer of the
// broker itself.
type sessions struct {
	cluster *kfake.Cluster

	mu     sync.Mutex
	groups map[string]*session
}

// session is what is known of one group.
type session struct {
	timeout time.Duration
	epoch   int32
	state   string
	since   time.Time        // when it was first seen in this epoch and state
	before  time.Time        // when it was looked at last before that
	looked  time.Time        // when it was looked at last
	heard   map[string]heard // by member
	joins   map[string]int32 // by member that joins without a name: the epoch in which it began to
}

// heard is a member's last request.
type heard struct {
	at  time.Time
	key kmsg.Key
}

const preparing = "PreparingRebalance"

// waitsIn is the state of a group in which the answer to a request may take long: until all have joined, until the leader has
// synced.
var waitsIn = map[string]kmsg.Key{preparing: kmsg.JoinGroup, "CompletingRebalance": kmsg.SyncGroup}

func watchSessions(cluster *kfake.Cluster) *sessions {
	s := &sessions{cluster: cluster, groups: map[string]*session{}}
	for _, key := range []kmsg.Key{kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat} {
		cluster.ControlKey(key.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
			cluster.KeepControl()
			s.hear(req)
			return nil, nil, false // the broker answers
		})
	}
	return s
}

func (s *sessions) hear(req kmsg.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := heard{at: time.Now(), key: kmsg.Key(req.Key())}
	switch r := req.(type) {
	case *kmsg.JoinGroupRequest:
		g := s.group(r.Group)
		g.timeout = time.Duration(r.SessionTimeoutMillis) * time.Millisecond
		g.heard[r.MemberID] = last
	case *kmsg.SyncGroupRequest:
		s.group(r.Group).heard[r.MemberID] = last
	case *kmsg.HeartbeatRequest:
		s.group(r.Group).heard[r.MemberID] = last
	}
}

func (s *sessions) group(name string) *session {
	g := s.groups[name]
	if g == nil {
		g = &session{timeout: defaultSession, heard: map[string]heard{}}
		s.groups[name] = g
	}
	return g
}

// run looks at all groups until ctx ends.
func (s *sessions) run(ctx context.Context, client *kgo.Client) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, name := range s.names() {
			if info := s.cluster.GroupInfo(name); info != nil {
				for _, member := range s.silent(info, time.Now()) {
					leave(ctx, client, name, member)
				}
			}
		}
	}
}

func (s *sessions) names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for name := range s.groups {
		names = append(names, name)
	}
	return names
}

// silent returns the members whose session is over.
func (s *sessions) silent(info *kfake.GroupInfo, now time.Time) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.group(info.Group)
	if g.epoch != info.Epoch || g.state != info.State {
		g.epoch, g.state, g.since, g.before = info.Epoch, info.State, now, g.looked
	}
	g.looked = now
	known, joins := map[string]heard{}, map[string]int32{}
	var silent []string
	for _, m := range info.Members {
		last, ok := g.heard[m.MemberID]
		if !ok && info.State == preparing {
			began, seen := g.joins[m.MemberID]
			if !seen || began == info.Epoch { // it has not been answered
				joins[m.MemberID] = info.Epoch
				continue
			}
		}
		if !ok {
			last.at = now // it has joined without a name
		}
		known[m.MemberID] = last
		if wait, waits := waitsIn[info.State]; waits && last.key == wait && last.at.After(g.before) {
			continue
		}
		if info.State != preparing && last.at.Before(g.since) {
			last.at = g.since // before that it may have waited
		}
		if now.Sub(last.at) > g.timeout+lookEvery {
			silent = append(silent, m.MemberID)
		}
	}
	g.heard, g.joins = known, joins // others are gone
	return silent
}

func leave(ctx context.Context, client *kgo.Client, group, member string) {
	ctx, cancel := context.WithTimeout(ctx, leaveWithin)
	defer cancel()
	slog.InfoContext(ctx, "a member's session is over", "group", group, "member", member)
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group, req.MemberID = group, member
	m := kmsg.NewLeaveGroupRequestMember()
	m.MemberID = member
	req.Members = append(req.Members, m)
	if _, err := req.RequestWith(ctx, client); err != nil && ctx.Err() == nil {
		slog.WarnContext(ctx, "the member could not be taken out", "group", group, "member", member, "error", err)
	}
}
