package projection

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/projection/rebuild"
)

// mortal lets a client live for some scripts; the last one takes effect or not. Then nothing gets through any more.
type mortal struct {
	left atomic.Int64
	last bool // takes effect
	dead chan struct{}
}

var errDead = errors.New("this instance is dead")

func (m *mortal) DialHook(next redis.DialHook) redis.DialHook { return next }

func (m *mortal) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		return m.do([]redis.Cmder{cmd}, func() error { return next(ctx, cmd) })
	}
}

func (m *mortal) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		return m.do(cmds, func() error { return next(ctx, cmds) })
	}
}

func (m *mortal) do(cmds []redis.Cmder, next func() error) error {
	script := slices.ContainsFunc(cmds, func(c redis.Cmder) bool { return c.Name() == "evalsha" || c.Name() == "eval" })
	left := m.left.Load()
	if script {
		left = m.left.Add(-1)
	}
	if left > 0 {
		return next()
	}
	if script && left == 0 {
		if m.last {
			_ = next()
		}
		close(m.dead)
	}
	return fail(cmds, errDead)
}

// playUntil runs an instance that dies with one of its scripts, counted from when arm is called.
func (s *stage) playUntil(b Behavior[script], scripts int64, last bool) (dead <-chan struct{}, arm, stop func()) {
	rdb := redis.NewClient(&redis.Options{Addr: s.redis.(*redis.Client).Options().Addr, MaxRetries: -1})
	s.t.Cleanup(func() { _ = rdb.Close() })
	m := &mortal{last: last, dead: make(chan struct{})}
	m.left.Store(1 << 40)
	rdb.AddHook(m)
	p := New(b, Config{Log: s.log, Redis: rdb, Partitions: partitions, CommitEvery: time.Hour})
	p.lookEvery = time.Millisecond
	return m.dead, func() { m.left.Store(scripts) }, s.run(p)
}

// crashOrders are so many that each partition takes more than one step.
const crashOrders = 180

// Whichever script is the last of an instance, and whether it took effect or not: the next instance ends the rebuild,
// with the shadow that was begun, and nothing is left of it.
func TestRebuildSurvivesACrashAtEachStep(t *testing.T) {
	for _, last := range []bool{false, true} {
		resumed := 0
		for scripts := int64(1); ; scripts++ {
			s := newStage(t)
			b := chronicle()
			ids := s.orders(crashOrders)
			dead, arm, stop := s.playUntil(b, scripts, last)
			s.shows(b, ids...)
			arm()
			s.ask(b)
			eventually(t, func() string {
				select {
				case <-dead:
					return ""
				default:
				}
				for _, r := range s.rebuilds(b) {
					if r.State != rebuild.Swapped || r.Clearing {
						return fmt.Sprintf("neither dead nor over: %+v", r)
					}
				}
				return ""
			})
			stop()
			select {
			case <-dead:
			default:
				if scripts < 6 || resumed == 0 {
					t.Errorf("a rebuild took only %d scripts, %d times a shadow was resumed", scripts, resumed)
				}
				t.Logf("last script done %v: it takes fewer than %d scripts, %d shadows were resumed", last, scripts, resumed)
				goto next
			}
			begun := s.entries(b, "shadow")
			_, stop = s.play(b)
			s.say(talk, ids[0], "after")
			s.rebuilt(b, rebuild.Swapped)
			s.shows(b, ids...)
			if n := s.words(); n != crashOrders*5+1 {
				t.Errorf("dead with script %d: %d words counted, not %d", scripts, n, crashOrders*5+1)
			}
			for p, live := range s.entries(b, rebuild.FieldLive) {
				if begun[p] != "" {
					if resumed++; begun[p] != live {
						t.Errorf("dead with script %d: partition %d has copy %s, not %s", scripts, p, live, begun[p])
					}
				}
			}
			stop()
		}
	next:
	}
}

// blind fails an instance's looks at the entries of rebuilds: it folds, and sees no request.
func blind(ctx context.Context, cmds []redis.Cmder, next redis.ProcessPipelineHook) error {
	if cmds[0].Name() == "hgetall" {
		return fail(cmds, errDead)
	}
	return next(ctx, cmds)
}

// A wipe takes the entries with it. A shadow whose instance claims it again, and dies before it sees that, is named
// nowhere: who began the partition anew has left word that other copies are to be deleted.
func TestAWipeLeavesNoShadowBehind(t *testing.T) {
	s := newStage(t)
	b := chronicle()
	ids := s.orders(10)
	rdb := redis.NewClient(&redis.Options{Addr: s.redis.(*redis.Client).Options().Addr})
	t.Cleanup(func() { _ = rdb.Close() })
	rdb.AddHook(pipelines(blind))
	stop := s.run(New(b, Config{Log: s.log, Redis: rdb, Partitions: partitions, CommitEvery: time.Hour}))
	s.shows(b, ids...)
	shadow := NewReader(b, s.redis).store.Key(0, "~orphaned:"+keyMeta)
	s.redis.HSet(t.Context(), shadow, "owner", "dead", "seq", 1)
	stop()
	_, _ = s.play(b)
	eventually(t, func() string {
		if s.redis.Exists(t.Context(), shadow).Val() > 0 {
			return shadow + " is left"
		}
		return ""
	})
	s.shows(b, ids...)
	s.rest(b)
}

// Whatever happens, and however often records come twice: in the end what is live is what a rebuild makes of the log.
func TestRebuildAgreesAfterAnySchedule(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			dice := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // a schedule, not a secret
			s := newStage(t)
			b := gossip()
			if err := s.log.Provision(t.Context(), []broker.Topic{{Name: rumours, Partitions: partitions}}); err != nil {
				t.Fatal(err)
			}
			ids := s.orders(30)
			door := s.door(b)
			stops := []func(){}
			start := func() { _, stop := s.play(b); stops = append(stops, stop) }
			start()
			s.shows(b, ids...)
			for range 60 {
				id := ids[dice.IntN(len(ids))]
				switch n := dice.IntN(20); {
				case n < 8:
					r := s.fact(talk, id, "word")
					s.put(r)
					if n < 3 {
						s.put(r)
					}
				case n < 11:
					s.say(song, id, "note")
				case n == 11: // folded twice where it is told twice
					s.put(broker.Record{Topic: rumours, Partition: logOf(talk, id).Partition, Value: []byte("bob sings")})
				case n == 12:
					eventually(t, func() string {
						if r := s.rebuilds(b)[dice.IntN(partitions)]; r.State.Active() {
							return fmt.Sprintf("%+v", r)
						}
						return ""
					})
				case n < 15:
					_, _ = door.Start(t.Context()) // refused while one is under way
				case n == 15:
					_, _ = door.Cancel(t.Context())
				case n == 16:
					s.log.Rebalance(b.Name)
				case n == 17 && len(stops) < 3:
					start()
				case n == 18 && len(stops) > 1:
					stops[0]()
					stops = stops[1:]
				case n == 19 && dice.IntN(3) == 0:
					if err := s.redis.FlushAll(t.Context()).Err(); err != nil {
						t.Fatal(err)
					}
				}
			}
			s.level(b)
			s.rest(b) // a request that was made before is over
			before := s.content(b)
			s.ask(b)
			s.rebuilt(b, rebuild.Swapped)
			s.level(b)
			s.shows(b, ids...)
			if d := cmp.Diff(before, s.content(b)); d != "" {
				t.Error(d)
			}
		})
	}
}
