package check_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/schemas/check"
)

// While the log is read or grows, partitions come as they come, and the gateway is ahead of the log. Nothing that is
// only not there yet is held against an order; and in the end each is judged as one who read everything at once would.
func TestALogThatGrowsRaisesNoAlarm(t *testing.T) {
	for seed := range uint64(50) {
		w := newWorld(t)
		r := rand.New(rand.NewPCG(seed, 0))
		k := w.checker()
		logs := map[string][]record{}
		var turns []string
		for _, rec := range w.Records {
			logs[rec.Topic] = append(logs[rec.Topic], rec)
			turns = append(turns, rec.Topic)
		}
		r.Shuffle(len(turns), func(i, j int) { turns[i], turns[j] = turns[j], turns[i] })
		for _, topic := range turns {
			o := k.Take(logs[topic][0].record())
			logs[topic] = logs[topic][1:]
			if found := slices.Concat(o.Violations(), o.Contradictions(w.Ledger.Orders[o.ID].Money())); len(found) > 0 {
				t.Fatalf("seed %d: after a record of %s: %v", seed, topic, found)
			}
		}
		at := check.Evidence{Expected: w.expected, Ledger: w.Ledger, Mails: w.Mails, Documents: w.documents}
		if got, want := k.Judge(at).String(), w.judge().String(); got != want {
			t.Errorf("seed %d: fed as it came\n%s\nat once\n%s", seed, got, want)
		}
	}
}

func TestWhatAMonitorAsks(t *testing.T) {
	w := newWorld(t)
	k := w.checker()
	placed, paid := w.of(w.good, "OrderPlaced", 0), w.of(w.good, "PaymentSucceeded", 0)
	waits := func(participant string, cause *record) {
		t.Helper()
		if p, topic, offset := k.Order(w.good).Waits(); p != participant || topic != cause.Topic || offset != cause.Offset {
			t.Errorf("waits for %s at %s@%d, want %s at %s@%d", p, topic, offset, participant, cause.Topic, cause.Offset)
		}
	}
	k.Take(placed.record())
	waits("payment", placed)
	k.Take(paid.record())
	waits("order", paid)
	o := k.Order(w.good)
	if at, total, ok := o.Placed(); !ok || total != 2500 || at.IsZero() {
		t.Errorf("placed at %s over %d, %t", at, total, ok)
	}
	if _, ok := o.Settled(); ok {
		t.Error("it is settled, and not confirmed")
	}
	for name, m := range map[string]check.Money{
		"the ledger has 2 charges":             {Charges: 2, Charged: 5000},
		"the ledger has 0 charges over 0":      {},
		"the ledger has 1 charges over 1, the": {Charges: 1, Charged: 1},
		"the ledger has 1 refunds over 1, the": {Charges: 1, Charged: 2500, Refunds: 1, Refunded: 1},
		"":                                     {Charges: 1, Charged: 2500, Refunds: 1, Refunded: 2500}, // ahead of the log
	} {
		found := o.Contradictions(m)
		if name == "" && len(found) > 0 || name != "" && (len(found) == 0 || !strings.Contains(found[0].Text, name)) {
			t.Errorf("%+v: %v, want %q", m, found, name)
		}
	}
	if k.Take(paid.record()); o.Copies() != 1 {
		t.Errorf("one record came twice, and %d did", o.Copies())
	}
	k.Take(w.of(w.good, "OrderConfirmed", 0).record())
	if took, ok := o.Settled(); !ok || took <= 0 || took > time.Minute {
		t.Errorf("settled after %s, %t", took, ok)
	}
	w.letter("payment", w.good, placed)
	k.Take(w.Records[len(w.Records)-1].record())
	if by, discarded := o.Parked(); !slices.Equal(by, []string{"payment"}) || discarded {
		t.Errorf("parked by %v, discarded %t", by, discarded)
	}
	w.request("r", "discarded")
	k.Take(w.Records[len(w.Records)-1].record())
	if by, discarded := o.Parked(); len(by) > 0 || !discarded {
		t.Errorf("discarded, and parked by %v, discarded %t", by, discarded)
	}
	k.Forget(w.good)
	if _, _, ok := k.Order(w.good).Placed(); ok {
		t.Error("it is forgotten, and known")
	}
}
