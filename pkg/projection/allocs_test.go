package projection

import (
	"strconv"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/event"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// stepOps are the index commands of a step of 64 orders, as an order that is confirmed writes them.
func stepOps() (ops []Op) {
	for i := range 64 {
		id := strconv.Itoa(i)
		ops = append(ops, op("ZREM", "status:placed", id), op("ZADD", "status:confirmed", "1", id), op("ZREM", "open", id),
			op("HINCRBY", "stats", "settled", "1"), op("HINCRBY", "minute:1", "orders", "1"), op("EXPIREAT", "minute:1", "99999999999"))
	}
	return ops
}

// stages are what each order of a step goes through between the log and the store.
func stages(t testing.TB) map[string]func() {
	b := chronicle()
	data, err := event.Encode(wrapperspb.String("word"))
	if err != nil {
		t.Fatal(err)
	}
	e := event.Event{
		ID: event.MakeID("order"), Sequence: 1, Type: event.TypeOf(&wrapperspb.StringValue{}), Source: "stage", Subject: "order",
		Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Data: data,
	}
	o := newOrder(b, "order")
	if j, err := o.take(b, 0, e, At{logOf(talk, "order"), 1}); j != valid || err != nil {
		t.Fatal(j, err)
	}
	text, err := o.encode()
	if err != nil {
		t.Fatal(err)
	}
	ops := stepOps()
	records := make([]broker.Record, 256)
	return map[string]func(){
		"load":   func() { _, _ = loadOrder(b, "order", text) },
		"take":   func() { _, _ = newOrder(b, "order").take(b, 0, e, At{logOf(talk, "order"), 1}) },
		"encode": func() { _, _ = o.encode() },
		"merged": func() { merged(ops) },
		"queue": func() {
			s := newSpace("", 0, b.Topics)
			s.add(0, broker.Fetched{Records: records})
			s.add(1, broker.Fetched{Records: records})
		},
	}
}

// The counts are those of the code as it is: raise one only for a reason. The race detector adds two to encode.
func TestStagesAllocateLittle(t *testing.T) {
	most := map[string]float64{"load": 7, "take": 8, "encode": 6, "merged": 28, "queue": 9}
	for name, run := range stages(t) {
		if got := testing.AllocsPerRun(100, run); got > most[name] {
			t.Errorf("%s: %.0f allocations, not %.0f", name, got, most[name])
		}
	}
}

func BenchmarkStages(b *testing.B) {
	for name, run := range stages(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				run()
			}
		})
	}
}
