package broker_test

import (
	"fmt"
	"testing"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Nobody should write to our topics in transactions; when somebody does, what was aborted is not read, and the markers,
// which are no records, do not stop the reading.
func TestAbortedTransactionsAreNotRead(t *testing.T) {
	cfg := brokertest.Fresh(t)
	c := open(t, cfg)
	if err := c.Provision(t.Context(), []broker.Topic{{Name: "a", Partitions: 1}}); err != nil {
		t.Fatal(err)
	}
	producer, err := kgo.NewClient(kgo.SeedBrokers(cfg.Brokers...), kgo.TransactionalID("x"), kgo.DefaultProduceTopic("a"))
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	var want []string
	for i, commit := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit, kgo.TryAbort, kgo.TryAbort, kgo.TryCommit, kgo.TryAbort} {
		if err := producer.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for n := range 3 {
			r := &kgo.Record{Key: []byte("k"), Value: fmt.Appendf(nil, "%d %d", i, n)}
			if err := producer.ProduceSync(t.Context(), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
			if commit == kgo.TryCommit {
				want = append(want, string(r.Value))
			}
		}
		if err := producer.EndTransaction(t.Context(), commit); err != nil {
			t.Fatal(err)
		}
		eventually(t, c, a(0)) // one without a transaction between them
		want = append(want, "")
	}
	var got []string
	for next, end := int64(0), int64(1); next < end; {
		fetched, err := c.Fetch(t.Context(), []broker.Position{{TopicPartition: a(0), Offset: next}})
		if err != nil || fetched[0].Err != nil {
			t.Fatalf("%+v, %v", fetched, err)
		}
		for _, r := range fetched[0].Records {
			got = append(got, string(r.Value))
		}
		next, end = fetched[0].Next, fetched[0].End
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("read %q\nwant %q", got, want)
	}
}
