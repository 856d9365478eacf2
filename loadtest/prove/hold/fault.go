package hold

import (
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Fault is what happens to requests on their way. More than one of its effects may be set, except that Err makes the broker not
// asked at all.
type Fault struct {
	// Match says which requests, of the kinds that a Request decodes.
	Match func(Request) bool
	// Probability of each of them being hit, up to 1. Drawn from Seed.
	Probability float64
	Seed        uint64
	// Delay before the request reaches the broker; what comes after it on its connection waits too.
	Delay time.Duration
	// Late cuts the client off at once and delivers the request after this time: an append that comes after what the client
	// has sent again meanwhile.
	Late time.Duration
	// LoseAnswer cuts the client off after the broker has done what it was asked.
	LoseAnswer bool
	// Err answers in the broker's place, of Produce and Fetch only.
	Err *kerr.Error
}

// Faulty is a fault that is at work.
type Faulty struct {
	fault Fault
	owner *faults
	hits  atomic.Int64
	draw  *rand.Rand // guarded by owner
}

// Hits is how many requests were hit.
func (f *Faulty) Hits() int { return int(f.hits.Load()) }

// Remove ends it. It may be called twice.
func (f *Faulty) Remove() {
	f.owner.mu.Lock()
	defer f.owner.mu.Unlock()
	f.owner.all = slices.DeleteFunc(f.owner.all, func(other *Faulty) bool { return other == f })
}

// Fault begins one.
func (k *Kafka) Fault(f Fault) *Faulty {
	faulty := &Faulty{fault: f, owner: &k.faults, draw: rand.New(rand.NewPCG(f.Seed, f.Seed))}
	k.faults.mu.Lock()
	defer k.faults.mu.Unlock()
	k.faults.all = append(k.faults.all, faulty)
	return faulty
}

// hit says whether it hits this request.
func (f *Faulty) hit(r Request) bool {
	if r.Body == nil || !f.fault.Match(r) || f.draw.Float64() >= f.fault.Probability {
		return false
	}
	f.hits.Add(1)
	return true
}

// faults are those of one proxy. Its zero value is ready.
type faults struct {
	mu  sync.Mutex
	all []*Faulty
}

// strike returns the first fault that hits a request; zero when none does.
func (fs *faults) strike(r Request) Fault {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, f := range fs.all {
		if f.hit(r) {
			return f.fault
		}
	}
	return Fault{}
}

// refusal is the answer with which a broker says no to all of a request; nil without an error, and for kinds that it is not
// known of.
func refusal(body kmsg.Request, no *kerr.Error) kmsg.Response {
	if no == nil {
		return nil
	}
	switch r := body.(type) {
	case *kmsg.ProduceRequest:
		resp := r.ResponseKind().(*kmsg.ProduceResponse)
		for _, t := range r.Topics {
			rt := kmsg.NewProduceResponseTopic()
			rt.Topic, rt.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				rp := kmsg.NewProduceResponseTopicPartition()
				rp.Partition, rp.ErrorCode, rp.BaseOffset = p.Partition, no.Code, -1
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
				rp.Partition, rp.ErrorCode = p.Partition, no.Code
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp
	}
	return nil
}
