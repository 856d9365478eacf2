package hold

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/troupe-dev/troupe/pkg/wait"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Fault is what happens to requests on their way. More than one of its effects may be set, except that Err makes the broker not
// asked at all.
type Fault struct {
	// Match says which requests; nil is all of the kinds that a Request decodes.
	Match func(Request) bool
	// Probability of each of them being hit, up to 1. Zero means 1. Drawn from Seed.
	Probability float64
	Seed        uint64
	// Delay before the request reaches the broker; what comes after it on its connection waits too.
	Delay time.Duration
	// Late cuts the client off at once and delivers the request after this time: an append that comes after what the client
	// has sent again meanwhile.
	Late time.Duration
	// LoseAnswer cuts the client off after the broker has done what it was asked.
	LoseAnswer bool
	// Err answers in the broker's place: of Produce, Fetch, OffsetCommit, Heartbeat, JoinGroup and SyncGroup only.
	Err *kerr.Error
	// For is how long it lasts; zero: until Remove.
	For time.Duration
}

// Faulty is a fault that is at work.
type Faulty struct {
	fault Fault
	until time.Time
	owner *faults
	hits  atomic.Int64

	mu   sync.Mutex
	draw *rand.Rand
}

// Hits is how many requests were hit.
func (f *Faulty) Hits() int { return int(f.hits.Load()) }

// Remove ends it. It may be called twice.
func (f *Faulty) Remove() { f.owner.remove(f) }

// Fault begins one. It is refused when it would do nothing, or cannot be.
func (k *Kafka) Fault(f Fault) (*Faulty, error) {
	switch {
	case f.Probability < 0 || f.Probability > 1:
		return nil, fmt.Errorf("fault: Probability must be 0 to 1, is %g", f.Probability)
	case f.Delay < 0 || f.Late < 0 || f.For < 0:
		return nil, fmt.Errorf("fault: Delay, Late and For must not be negative, are %v, %v and %v", f.Delay, f.Late, f.For)
	case f.Delay == 0 && f.Late == 0 && !f.LoseAnswer && f.Err == nil:
		return nil, fmt.Errorf("fault: one of Delay, Late, LoseAnswer and Err must be set")
	}
	if f.Probability == 0 {
		f.Probability = 1
	}
	faulty := &Faulty{fault: f, owner: &k.faults, draw: rand.New(rand.NewPCG(f.Seed, f.Seed))}
	if f.For > 0 {
		faulty.until = time.Now().Add(f.For)
	}
	k.faults.add(faulty)
	return faulty, nil
}

// strikes says whether it hits this request.
func (f *Faulty) strikes(r Request, now time.Time) bool {
	if !f.until.IsZero() && now.After(f.until) || r.Body == nil || f.fault.Match != nil && !f.fault.Match(r) {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.draw.Float64() >= f.fault.Probability {
		return false
	}
	f.hits.Add(1)
	return true
}

// faults are those of one proxy. Its zero value is ready.
type faults struct {
	n   atomic.Int32
	mu  sync.Mutex
	all []*Faulty
}

func (fs *faults) idle() bool { return fs.n.Load() == 0 }

func (fs *faults) add(f *Faulty) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.all = append(fs.all, f)
	fs.n.Add(1)
}

func (fs *faults) remove(f *Faulty) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if i := slices.Index(fs.all, f); i >= 0 {
		fs.all = slices.Delete(fs.all, i, i+1)
		fs.n.Add(-1)
	}
}

// apply lets the first fault that hits a request work on it; cut ends its client's connection. false: the proxy closes.
func (fs *faults) apply(life context.Context, e *expected, h header, cut func()) bool {
	now := time.Now()
	fs.mu.Lock()
	all := slices.Clone(fs.all)
	fs.mu.Unlock()
	for _, f := range all {
		if !f.strikes(e.request, now) {
			continue
		}
		if f.fault.Late > 0 {
			cut()
		}
		if wait.Sleep(life, f.fault.Delay+f.fault.Late) != nil {
			return false
		}
		e.lose = f.fault.LoseAnswer
		if f.fault.Err != nil {
			if r := refusal(e.request.Body, f.fault.Err.Code); r != nil {
				r.SetVersion(h.version)
				e.made = respond(h.correlation, r)
			}
		}
		return true
	}
	return true
}

// refusal is the answer with which a broker says no to all of a request; nil for kinds that it is not known of.
func refusal(body kmsg.Request, code int16) kmsg.Response {
	switch r := body.(type) {
	case *kmsg.ProduceRequest:
		resp := r.ResponseKind().(*kmsg.ProduceResponse)
		for _, t := range r.Topics {
			rt := kmsg.NewProduceResponseTopic()
			rt.Topic, rt.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				rp := kmsg.NewProduceResponseTopicPartition()
				rp.Partition, rp.ErrorCode, rp.BaseOffset = p.Partition, code, -1
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp
	case *kmsg.FetchRequest:
		resp := r.ResponseKind().(*kmsg.FetchResponse)
		for _, t := range r.Topics {
			rt := kmsg.NewFetchResponseTopic()
			rt.Topic, rt.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				rp := kmsg.NewFetchResponseTopicPartition()
				rp.Partition, rp.ErrorCode = p.Partition, code
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp
	case *kmsg.OffsetCommitRequest:
		resp := r.ResponseKind().(*kmsg.OffsetCommitResponse)
		for _, t := range r.Topics {
			rt := kmsg.NewOffsetCommitResponseTopic()
			rt.Topic, rt.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				rp := kmsg.NewOffsetCommitResponseTopicPartition()
				rp.Partition, rp.ErrorCode = p.Partition, code
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp
	case *kmsg.HeartbeatRequest:
		resp := r.ResponseKind().(*kmsg.HeartbeatResponse)
		resp.ErrorCode = code
		return resp
	case *kmsg.JoinGroupRequest:
		resp := r.ResponseKind().(*kmsg.JoinGroupResponse)
		resp.ErrorCode = code
		return resp
	case *kmsg.SyncGroupRequest:
		resp := r.ResponseKind().(*kmsg.SyncGroupResponse)
		resp.ErrorCode = code
		return resp
	}
	return nil
}
