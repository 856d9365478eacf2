package participant_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/taskstore"
	"github.com/troupe-dev/troupe/pkg/taskstore/storetest"
)

// BenchmarkWitness says what it costs to have the store count a task's keys at every change, in turns with changes
// that do not:
//
//	TEST_REDIS_ADDR=127.0.0.1:6379 go test -run=- -bench=Witness -count=7 ./pkg/participant
func BenchmarkWitness(b *testing.B) {
	for _, orders := range []int{0, 1, 20, 200} {
		b.Run(fmt.Sprintf("orders=%d", orders), func(b *testing.B) { benchWitness(b, orders) })
	}
}

func benchWitness(b *testing.B, orders int) {
	const tasks = 12
	st, ctx := taskstore.New(storetest.Fresh(b), "bench"), b.Context()
	changes := map[bool][]taskstore.Change{}
	for _, counted := range []bool{false, true} {
		for p := range tasks {
			if counted {
				p += tasks
			}
			if _, err := st.Claim(ctx, p, "owner"); err != nil {
				b.Fatal(err)
			}
			c := taskstore.Change{Partition: p, Owner: "owner"}
			if counted {
				for _, rest := range []string{"orders:parked", "outbox", "timers", "parked", "orders:1", "orders:2"} {
					c.Kept = append(c.Kept, st.Key(p, rest))
				}
			}
			var texts, bodies, at []string
			for i := range orders {
				id := fmt.Sprintf("%036d", i)
				texts, bodies = append(texts, id, strings.Repeat("s", 800)), append(bodies, strings.Repeat("f", 600))
				at = append(at, "1767225600000", id)
			}
			if orders > 0 {
				c.Ops = []taskstore.Op{
					{Cmd: "HSET", Key: st.Key(p, "orders:2"), Args: texts}, {Cmd: "ZADD", Key: st.Key(p, "timers"), Args: at},
					{Cmd: "RPUSH", Key: st.Key(p, "outbox"), Args: bodies},
					{Cmd: "LTRIM", Key: st.Key(p, "outbox"), Args: []string{fmt.Sprint(orders), "-1"}},
					{Cmd: "HSET", Key: st.Key(p, "meta"), Args: []string{"in:desk", "1", "own:desk", "2"}},
				}
			}
			changes[counted] = append(changes[counted], c)
		}
	}
	took := map[bool]time.Duration{}
	for i := int64(0); b.Loop(); i++ {
		for _, counted := range []bool{i%2 == 0, i%2 != 0} { // who comes first changes, too
			began := time.Now()
			for _, out := range st.Apply(ctx, changes[counted]) {
				if out.Err != nil || out.Verdict != taskstore.Applied {
					b.Fatal(out)
				}
			}
			took[counted] += time.Since(began)
			for p := range changes[counted] {
				if orders > 0 {
					changes[counted][p].Seq++
				}
			}
		}
	}
	b.ReportMetric(float64(took[false].Microseconds())/float64(b.N), "µs-without")
	b.ReportMetric(float64(took[true].Microseconds())/float64(b.N), "µs-with")
	b.ReportMetric(100*(float64(took[true])/float64(took[false])-1), "%-more")
}
