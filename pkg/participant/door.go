package participant

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant/internal/outbox"
	"github.com/troupe-dev/troupe/pkg/task"
	"github.com/troupe-dev/troupe/pkg/taskstore"
	"github.com/troupe-dev/troupe/pkg/telemetry"
	"github.com/troupe-dev/troupe/pkg/wait"
)

const (
	// markerTTL is how long a marker serves comparisons; the folded order takes over within moments.
	markerTTL = 24 * time.Hour
	// markerInFlight is how long a marker without an answer counts as a request under way: longer than a produce usually takes. One
	// that takes longer still publishes the same event as the retry.
	markerInFlight = 15 * time.Second
	// doorPoll is how often the door looks whether the fold has come far enough.
	doorPoll = 5 * time.Millisecond
	// doorWithin bounds what the store and the fold cost one request, unless its caller waits for the fold longer.
	doorWithin = 2 * time.Second
	// markWithin bounds the write of a marker once the event is in the log: nothing depends on it.
	markWithin = 500 * time.Millisecond
	// doorWaiting is how many requests of a door wait for the store or the fold at once. More are refused: while a store is silent, a
	// request that comes is worth no more than the ones that wait.
	doorWaiting = 1000
)

var doorFull = telemetry.DoorFull.Counter()

// Door is where events of a participant come in from outside its topics (HTTP): it publishes them to the participant's own
// topic from any instance, and answers from what the tasks have folded, never from less.
type Door[S any] struct {
	b   *behavior
	cfg Config
	st  *taskstore.Store
	out appender
	// waiting has a place for each request that waits.
	waiting chan struct{}

	now     present
	mu      sync.Mutex
	trusted map[int]view // per partition: a fold known to have reached the end of the log as it was on some arrival
}

// view is what the door saw of a partition's meta: a claim and how far its changes had come. A store that was wiped has another
// owner, one that was restored an older owner or a smaller seq.
type view struct {
	owner string
	seq   int64
}

// Found is an order as its task has folded it.
type Found[S any] struct {
	State S
	// Offset of the order's first fact in the participant's own topic, -1 when the log no longer holds it.
	Offset    int64
	Partition int
	// TraceParent of the transmission that began the order; empty when unknown. See telemetry.Rejoin.
	TraceParent string
}

// Admission is what a door knows about an order id before it publishes the order's first fact.
type Admission[S any] struct {
	// Folded is the order when its first fact is folded already: compare with it. Nil otherwise.
	Folded *Found[S]
	// SameBody: a request with this id and this hash was admitted before (only when Folded is nil and New is false).
	SameBody bool
	// Published: that earlier request's fact is in the log, at Offset. False: still in flight.
	Published bool
	Offset    int64
	Partition int
	// New: nobody was here before; publish now, then call Admitted. An admission that is not followed by Admitted lapses after 15 s.
	New bool
}

// NewDoor returns the door of a participant. It opens nothing.
func NewDoor[S any](b Behavior[S], cfg Config) *Door[S] {
	cfg = cfg.withDefaults()
	return &Door[S]{
		b: b.erase(), cfg: cfg, st: taskstore.New(cfg.Redis, b.Name), out: appender{log: cfg.Log, status: refusals{name: b.Name}}, trusted: map[int]view{},
		waiting: make(chan struct{}, doorWaiting),
		now:     present{topic: FactsTopic(b.Name), ask: make(chan struct{}, 1)},
	}
}

// look reads, in one step, what a partition's task and the marker say of an order; with ARGV[1] it sets the marker when
// neither knows the order and the partition's fold is the one that is trusted (ARGV[2] owner, ARGV[3] lowest seq), of the log that is
// there now (ARGV[10]; meta says it in field ARGV[9]). KEYS from the third on are where the order may be, as many as ARGV[7] says; of one
// that has facts, they are named first in its text. What follows are the keys of the witness, if the orders are of generation ARGV[8]: of
// a store that misses one of them nothing is believed.
var look = redis.NewScript(`
local meta = redis.call('HMGET', KEYS[1], 'owner', 'seq', 'folded', 'fold_version', 'generation', 'kept', ARGV[9])
local marker = redis.call('GET', KEYS[2])
local o, last = false, 2 + tonumber(ARGV[7])
for i = 3, last do o = o or redis.call('HGET', KEYS[i], ARGV[6]) end
local exists = o and string.find(o, 'own', 1, true) == 2
local whole = meta[5] == ARGV[8] and redis.call('EXISTS', unpack(KEYS, last + 1)) == tonumber(meta[6] or 0)
local new = 0
local here = not meta[7] or meta[7] == ARGV[10]
if ARGV[1] ~= '' and whole and here and not exists and meta[1] and meta[1] == ARGV[2] and tonumber(meta[2]) >= tonumber(ARGV[3]) then
  if not marker or marker == ARGV[5] then
    redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[4])
    new = 1
  end
end
return {meta[1] or '', meta[2] or '0', meta[3] or '-1', marker or '', new, o or '', meta[4] or '', meta[5] or '', whole and 1 or 0,
	here and 1 or 0}`)

// counted are the keys of a partition's task that are counted.
func (d *Door[S]) counted(p int, generation int64) []string {
	keys := witnessKeys(generation)
	for i, rest := range keys {
		keys[i] = d.st.Key(p, rest)
	}
	return keys
}

// looked is the answer of look.
type looked struct {
	view
	folded int64
	marker string
	marked bool
	order  string // its text
	// ours: it was folded as it is here, and nothing of it is missing. What another release keeps says nothing, until its instance is gone.
	ours bool
	gone bool // it was folded of a log that is gone: nothing of it counts, nor does the marker
}

func (l looked) exists() bool { return l.ours && strings.HasPrefix(l.order, ownFirst) }

func (d *Door[S]) look(ctx context.Context, p int, id, mark string, trust view, stale string) (looked, error) {
	log, err := d.now.log(ctx, d.cfg)
	if err != nil {
		return looked{}, err
	}
	now := d.cfg.generation(time.Now())
	keys := []string{d.st.Key(p, "meta"), d.st.Key(p, "marker:"+id), d.st.Key(p, keyParkedOrders)}
	for g := now + 1; g >= now-1; g-- { // the task's clock may be ahead of this one
		keys = append(keys, d.st.Key(p, ordersKey(g)))
	}
	places := len(keys) - 2
	for generation := now; ; { // of the orders: that of now, unless none was written for long
		v, err := look.Run(ctx, d.cfg.Redis, append(keys[:2+places:2+places], d.counted(p, generation)...),
			mark, trust.owner, trust.seq, markerTTL.Milliseconds(), stale, id, places, generation,
			task.PrefixLog+d.b.facts, log).Slice()
		if err != nil {
			return looked{}, fault.Later(time.Second, "redis: %w", err)
		}
		text := func(i int) string { s, _ := v[i].(string); return s }
		flag := func(i int) bool { n, _ := v[i].(int64); return n == 1 }
		if at := number(text(7), generation); at != generation {
			generation = at
			continue
		}
		return looked{
			view: view{text(0), number(text(1), 0)}, folded: number(text(2), -1), marker: text(3), marked: flag(4), order: text(5),
			ours: text(6) == d.b.foldVersion && flag(8) && flag(9), gone: !flag(9),
		}, nil
	}
}

// enter takes a place among the requests that wait, until leave is called; ctx ends when the request has waited long enough.
func (d *Door[S]) enter(ctx context.Context, within time.Duration) (bounded context.Context, leave func(), err error) {
	select {
	case d.waiting <- struct{}{}:
	default:
		doorFull.Add(ctx, 1)
		return nil, nil, fault.Later(time.Second, "%d requests wait for the store already", doorWaiting)
	}
	bounded, cancel := context.WithTimeout(ctx, max(within, doorWithin))
	return bounded, func() { cancel(); <-d.waiting }, nil
}

// Find returns an order. ok is false only when the partition is folded to the log's end as it was on arrival; a partition that is
// not there yet within the wait is an Unavailable error with RetryAfter.
func (d *Door[S]) Find(ctx context.Context, orderID string, within time.Duration) (f Found[S], ok bool, err error) {
	ctx, leave, err := d.enter(ctx, within)
	if err != nil {
		return Found[S]{}, false, err
	}
	defer leave()
	p := broker.Partition([]byte(orderID), d.cfg.Partitions)
	l, err := d.look(ctx, p, orderID, "", view{}, "")
	if err == nil && !l.exists() {
		l, err = d.reach(ctx, p, orderID, within)
	}
	if err != nil || !l.exists() {
		return Found[S]{}, false, err
	}
	f, err = d.found(p, orderID, l)
	return f, err == nil, err
}

func (d *Door[S]) found(p int, id string, l looked) (Found[S], error) {
	o := newOrder(id, d.b.zero())
	if err := o.readText(d.b, l.order); err != nil {
		return Found[S]{}, fault.New(fault.Permanent, "an order in partition %d cannot be read: %w", p, err)
	}
	return Found[S]{State: o.state.(S), Offset: o.first, Partition: p, TraceParent: o.trace}, nil
}

// reach waits until the partition is folded to the end the log has now, and looks again; it remembers whose fold that was.
func (d *Door[S]) reach(ctx context.Context, p int, orderID string, within time.Duration) (looked, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tp := broker.TopicPartition{Topic: d.b.facts, Partition: p}
	ends, err := d.cfg.Log.Ends(ctx, []broker.TopicPartition{tp})
	if err != nil {
		return looked{}, fault.Later(time.Second, "the log cannot be asked: %w", err)
	}
	for {
		l, err := d.look(ctx, p, orderID, "", view{}, "")
		if err != nil {
			return looked{}, err
		}
		if l.ours && l.owner != "" && l.folded >= ends[tp] {
			d.trust(p, l.view)
			return l, nil
		}
		if wait.Sleep(ctx, doorPoll) != nil {
			return looked{}, fault.Later(time.Second, "the order's partition %d is not folded to its end yet", p)
		}
	}
}

func (d *Door[S]) trust(p int, v view) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if old, ok := d.trusted[p]; !ok || old.owner != v.owner || old.seq < v.seq {
		d.trusted[p] = v
	}
}

func (d *Door[S]) trustedView(p int) view {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.trusted[p]
}

// Admit asks whether an order id is new, and marks it as taken when it is. hash identifies the request's body. Unavailable
// while that cannot be known, which takes 2 s at most, or wait when that is longer, and while 1,000 requests wait for it.
func (d *Door[S]) Admit(ctx context.Context, orderID, hash string, within time.Duration) (Admission[S], error) {
	ctx, leave, err := d.enter(ctx, within)
	if err != nil {
		return Admission[S]{}, err
	}
	defer leave()
	p := broker.Partition([]byte(orderID), d.cfg.Partitions)
	stale := ""
	for range 3 {
		now := time.Now()
		mark := hash + " - " + strconv.FormatInt(now.UnixMilli(), 10)
		l, err := d.look(ctx, p, orderID, mark, d.trustedView(p), stale)
		if err != nil {
			return Admission[S]{}, err
		}
		if l.exists() {
			f, err := d.found(p, orderID, l)
			return Admission[S]{Folded: &f, Partition: p, Offset: f.Offset}, err
		}
		if l.marked {
			d.trust(p, l.view)
			return Admission[S]{New: true, Partition: p}, nil
		}
		if a, known := admitted[S](l.marker, hash, now); known && !l.gone {
			a.Partition = p
			return a, nil
		}
		stale = l.marker
		if l, err = d.reach(ctx, p, orderID, within); err != nil {
			return Admission[S]{}, err
		}
	}
	return Admission[S]{}, fault.Later(time.Second, "the order's partition %d changes hands", p)
}

// admitted reads a marker. A request of the same body that never came to an answer is not known: its fact may be in the log or not.
func admitted[S any](marker, hash string, now time.Time) (Admission[S], bool) {
	part := strings.Fields(marker)
	if len(part) != 3 {
		return Admission[S]{}, false
	}
	a := Admission[S]{SameBody: part[0] == hash}
	if part[1] != "-" {
		a.Published, a.Offset = true, number(part[1], -1)
		return a, true
	}
	lapsed := now.Sub(time.UnixMilli(number(part[2], 0))) > markerInFlight
	return a, !a.SameBody || !lapsed
}

// Admitted records that the order's first fact is in the log at offset, unless the marker of its admission is gone: with the log, when that
// was replaced meanwhile. It blocks for half a second at most.
func (d *Door[S]) Admitted(ctx context.Context, orderID, hash string, offset int64) error {
	ctx, cancel := context.WithTimeout(ctx, markWithin)
	defer cancel()
	p := broker.Partition([]byte(orderID), d.cfg.Partitions)
	marker := hash + " " + strconv.FormatInt(offset, 10) + " " + strconv.FormatInt(time.Now().UnixMilli(), 10)
	err := d.cfg.Redis.SetXX(ctx, d.st.Key(p, "marker:"+orderID), marker, markerTTL).Err()
	return fault.As(fault.Unavailable, err)
}

// Ready returns nil unless Kafka has lately refused what came in here, for a reason that no waiting mends (too large, not authorized):
// then why. It does not block.
func (d *Door[S]) Ready() error { return d.out.status.ready(time.Now()) }

// Publish appends one event to the participant's own topic, acks=all, and returns where it is. Requests of one moment share one
// produce request. An error is of class Unavailable: the outcome is unknown and the same event may be published again.
func (d *Door[S]) Publish(ctx context.Context, e event.Event) (partition int, offset int64, err error) {
	p := broker.Partition([]byte(e.Subject), d.cfg.Partitions)
	ctx, ended := telemetry.Send(ctx, broker.TopicPartition{Topic: d.b.facts, Partition: p}, e.ID, e.Subject)
	offset, err = d.out.append(ctx, event.ToRecord(e, d.b.facts, p, telemetry.Inject(ctx, nil)))
	ended(err)
	return p, offset, err
}

// appender is group commit: what arrives while a produce is under way shares the next one.
type appender struct {
	log     broker.Log
	status  refusals
	mu      sync.Mutex
	waiting []*request
	running bool
}

type request struct {
	rec    broker.Record
	offset int64
	err    error
	done   chan struct{}
}

// doorBacklog bounds the requests that wait for their produce; more are refused as unavailable.
const doorBacklog = 10_000

func (a *appender) append(ctx context.Context, rec broker.Record) (int64, error) {
	r := &request{rec: rec, done: make(chan struct{})}
	a.mu.Lock()
	if len(a.waiting) >= doorBacklog {
		a.mu.Unlock()
		return 0, fault.Later(time.Second, "too many requests wait for the broker")
	}
	a.waiting = append(a.waiting, r)
	lead := !a.running
	a.running = true
	a.mu.Unlock()
	if lead {
		go a.run() // ends when none waits; its produces are bounded by the client's time-out
	}
	select {
	case <-r.done:
		return r.offset, r.err
	case <-ctx.Done():
		return 0, fault.Later(time.Second, "the broker did not answer in time: %w", ctx.Err())
	}
}

func (a *appender) run() {
	for {
		a.mu.Lock()
		n := fitting(a.waiting)
		batch := a.waiting[:n]
		a.waiting = a.waiting[n:]
		if len(batch) == 0 {
			a.running = false
			a.mu.Unlock()
			return
		}
		a.mu.Unlock()
		a.produce(batch)
	}
}

// fitting is how many of the requests fit into one batch, whatever their logs are.
func fitting(rs []*request) int {
	size := 0
	for i, r := range rs {
		if size += outbox.Bytes(r.rec); i > 0 && (size > batchBytes || i == batchRecords) {
			return i
		}
	}
	return len(rs)
}

func (a *appender) produce(batch []*request) {
	byLog := map[broker.TopicPartition][]*request{}
	var batches []broker.Batch
	for _, r := range batch {
		tp := broker.TopicPartition{Topic: r.rec.Topic, Partition: r.rec.Partition}
		byLog[tp] = append(byLog[tp], r)
	}
	for tp, rs := range byLog {
		b := broker.Batch{TopicPartition: tp}
		for _, r := range rs {
			b.Records = append(b.Records, r.rec)
		}
		batches = append(batches, b)
	}
	var mu sync.Mutex
	var apart []*request
	a.log.Produce(context.Background(), batches, func(p broker.Produced) {
		rs := byLog[p.TopicPartition]
		refused := fault.ClassOf(p.Err) == fault.Permanent
		a.status.set(p.TopicPartition, p.Err, refused)
		if refused && len(rs) > 1 { // one alone may be at fault
			mu.Lock()
			defer mu.Unlock()
			apart = append(apart, rs...)
			return
		}
		for i, r := range rs {
			if r.offset = p.Base + int64(i); p.Err != nil {
				r.err = fault.Later(time.Second, "publish: %w", p.Err)
			}
			close(r.done)
		}
	})
	for _, r := range apart {
		a.produce([]*request{r})
	}
}

// number reads a number; what is none is otherwise.
func number(s string, otherwise int64) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return otherwise
	}
	return n
}
