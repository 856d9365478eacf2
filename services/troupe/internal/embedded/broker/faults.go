package broker

import (
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/services/troupe/control"
	"github.com/troupe-dev/troupe/services/troupe/internal/jsonbody"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	defaultReset = 60 // seconds
	maxReset     = 600
	maxFaults    = 50
	maxDelayMS   = 60_000
)

// apis are the kinds of requests that can be made to fail.
var apis = map[string]kmsg.Key{
	"produce": kmsg.Produce, "fetch": kmsg.Fetch, "offset_commit": kmsg.OffsetCommit, "offset_fetch": kmsg.OffsetFetch,
	"list_offsets": kmsg.ListOffsets, "metadata": kmsg.Metadata, "find_coordinator": kmsg.FindCoordinator,
	"join_group": kmsg.JoinGroup, "sync_group": kmsg.SyncGroup, "heartbeat": kmsg.Heartbeat,
}

// byTopic are those of them that name topics.
var byTopic = []string{"produce", "fetch", "offset_commit", "offset_fetch", "list_offsets", "metadata"}

// faults are what a broker does wrong on purpose.
type faults struct {
	cluster *kfake.Cluster
	nodes   int

	mu  sync.Mutex
	all []*activeFault
}

// activeFault is one fault at work.
type activeFault struct {
	control.Fault
	until   time.Time
	delayed atomic.Int64
	ended   chan struct{}
	handle  *kfake.FaultHandle // nil without an error
}

// over is true once its time is, or once it was replaced.
func (i *activeFault) over() bool {
	select {
	case <-i.ended:
		return true
	default:
		return time.Now().After(i.until)
	}
}

func (i *activeFault) hits() bool {
	return !i.over() && (i.Percent == 0 || rand.IntN(100) < i.Percent)
}

// handler serves GET and PUT /faults, POST /leaders/move and POST /coordinators/move.
func (f *faults) handler() http.Handler {
	mux := httpdoor.NewRouter()
	mux.Use(control.Guard)
	mux.Get("/faults", func(w http.ResponseWriter, _ *http.Request) { f.show(w) })
	mux.Put("/faults", func(w http.ResponseWriter, r *http.Request) {
		list, err := readFaults(w, r)
		if err != nil {
			problem.Write(w, r, err)
			return
		}
		f.set(list)
		slog.Info("faults are set", "count", len(list))
		f.show(w)
	})
	move := func(what string, do func()) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if f.nodes < 2 {
				problem.Write(w, r, fault.New(fault.Conflict, "there is one broker only, so nothing can move: see troupe play --brokers"))
				return
			}
			do()
			slog.Info("moved", "what", what)
			w.WriteHeader(http.StatusNoContent)
		}
	}
	mux.Post("/leaders/move", move("leaders", f.cluster.ShufflePartitionLeaders))
	mux.Post("/coordinators/move", move("coordinators", f.cluster.RehashCoordinators))
	return mux
}

// set replaces all faults.
func (f *faults) set(list []control.Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, i := range f.all {
		close(i.ended)
		if i.handle != nil {
			i.handle.Remove()
		}
	}
	f.all = nil
	for _, asked := range list {
		if asked.ResetAfterS == 0 {
			asked.ResetAfterS = defaultReset
		}
		i := &activeFault{Fault: asked, until: time.Now().Add(time.Duration(asked.ResetAfterS) * time.Second), ended: make(chan struct{})}
		if err := errorNamed(i.Error); err != nil {
			i.handle = f.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{apis[i.API]}, Topic: i.Topic, Err: err, Count: -1,
				When: func(kmsg.Request) bool { return i.hits() }})
		}
		if i.DelayMS > 0 {
			f.delay(i)
		}
		f.all = append(f.all, i)
	}
}

// delay makes requests wait. The broker forgets it with the first request after its end.
func (f *faults) delay(i *activeFault) {
	f.cluster.ControlKey(apis[i.API].Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		if i.over() {
			f.cluster.DropControl()
			return nil, nil, false
		}
		f.cluster.KeepControl()
		if i.hits() {
			i.delayed.Add(1)
			f.cluster.SleepControl(func() {
				over := time.NewTimer(time.Duration(i.DelayMS) * time.Millisecond)
				defer over.Stop()
				select {
				case <-over.C:
				case <-i.ended:
				}
			})
		}
		return nil, nil, false // the broker answers
	})
}

func (f *faults) show(w http.ResponseWriter) {
	f.mu.Lock()
	defer f.mu.Unlock()
	states := control.FaultStates{Faults: []control.FaultState{}}
	for _, i := range f.all {
		if i.over() {
			continue
		}
		s := control.FaultState{Fault: i.Fault, Hits: int(i.delayed.Load()), ResetsAt: i.until.UTC()}
		if i.handle != nil {
			s.Hits += i.handle.Hits()
		}
		states.Faults = append(states.Faults, s)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(states) // the caller is gone; nobody to tell
}

// readFaults reads the whole list and checks it; the error names the field.
func readFaults(w http.ResponseWriter, r *http.Request) ([]control.Fault, error) {
	var list control.FaultList
	if err := jsonbody.Read(w, r, 64<<10, &list); err != nil {
		return nil, err
	}
	if len(list.Faults) > maxFaults {
		return nil, fault.Field("/faults", "must be %d at most, are %d", maxFaults, len(list.Faults))
	}
	var errs []error
	for n, f := range list.Faults {
		errs = append(errs, validate(n, f))
	}
	return list.Faults, fault.As(fault.Invalid, errors.Join(errs...))
}

func validate(n int, f control.Fault) error {
	var errs []error
	refuse := func(bad bool, field, rule string, args ...any) {
		if bad {
			errs = append(errs, fault.Field("/faults/"+strconv.Itoa(n)+"/"+field, rule, args...))
		}
	}
	_, known := apis[f.API]
	refuse(!known, "api", "must be one of %s, is %q", strings.Join(slices.Sorted(maps.Keys(apis)), ", "), f.API)
	refuse(f.Error != "" && errorNamed(f.Error) == nil, "error", "must be an error of Kafka such as NOT_LEADER_FOR_PARTITION, is %q", f.Error)
	refuse(f.Error == "" && f.DelayMS == 0, "error", "or delay_ms must be set")
	refuse(f.Topic != "" && f.DelayMS != 0, "topic", "must not be set together with delay_ms")
	refuse(f.Topic != "" && known && !slices.Contains(byTopic, f.API), "topic", "must not be set: %s names no topics", f.API)
	within := func(field string, v, most int) {
		refuse(v < 0 || v > most, field, "must be from 0 to %d, is %d", most, v)
	}
	within("delay_ms", f.DelayMS, maxDelayMS)
	within("percent", f.Percent, 100)
	within("reset_after_s", f.ResetAfterS, maxReset)
	return errors.Join(errs...)
}

// errorNamed finds an error of the protocol by its name; nil when there is none.
func errorNamed(name string) *kerr.Error {
	for code := int16(1); code < 200; code++ {
		if e := kerr.TypedErrorForCode(code); e != nil && e != kerr.UnknownServerError && e.Message == name {
			return e
		}
	}
	return nil
}
