package projection

import (
	"strconv"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/chain"
	"github.com/troupe-dev/troupe/pkg/event"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// stepWrites are the index entries of a step of 64 orders, as an order that is confirmed writes them.
func stepWrites(w *Writes, ids []string) {
	w.Begin("{stage:1}:")
	for _, id := range ids {
		w.Remove(Name{Text: "status:placed"}, id)
		w.Add(Name{Text: "status:confirmed"}, id, 1)
		w.Remove(Name{Text: "open"}, id)
		w.Count(Name{Text: "stats"}, Name{Text: "settled"}, 1)
		w.Count(Name{Text: "minute:", N: 1}, Name{Text: "orders"}, 1)
		w.Expire(Name{Text: "minute:", N: 1}, 99999999999)
	}
	w.Ops(nil)
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
	if j, err := o.take(b, 0, e, At{logOf(talk, "order"), 1}); j != chain.Valid || err != nil {
		t.Fatal(j, err)
	}
	packed, err := b.append(nil, &o.record)
	if err != nil {
		t.Fatal(err)
	}
	text := string(packed)
	var w Writes
	ids := make([]string, 64)
	for i := range ids {
		ids[i] = strconv.Itoa(i)
	}
	records := make([]broker.Record, 256)
	claimed := newTestPartition(b.Topics...).Partition
	return map[string]func(){
		"load":   func() { _, _ = loadOrder(b, "order", text) },
		"take":   func() { _, _ = newOrder(b, "order").take(b, 0, e, At{logOf(talk, "order"), 1}) },
		"encode": func() { _, _ = b.append(packed[:0], &o.record) },
		"merged": func() { stepWrites(&w, ids) },
		"queue": func() {
			s := &partition[script]{Partition: claimed, inputs: make([]input, len(b.Topics))}
			s.add(0, broker.Fetched{Records: records})
			s.add(1, broker.Fetched{Records: records})
		},
	}
}

// The counts are those of the code as it is: raise one only for a reason. The race detector adds one to merged.
func TestStagesAllocateLittle(t *testing.T) {
	most := map[string]float64{"load": 5, "take": 5, "encode": 3, "merged": 4, "queue": 7}
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
