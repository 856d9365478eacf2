package query_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/pkg/projection"
	"github.com/troupe-dev/troupe/pkg/view/viewtest"
	"github.com/troupe-dev/troupe/services/query"
	"github.com/troupe-dev/troupe/services/query/internal/querytest"
	"github.com/troupe-dev/troupe/services/query/internal/readmodel"
)

// Whatever bytes a record has, they fold into a document that survives being stored.
func FuzzFoldAnyRecord(f *testing.F) {
	for _, story := range ways {
		for _, r := range story(querytest.NewWriter(), viewtest.ID("o"), "c-1") {
			typ, _ := r.Headers.Last("ce_type")
			f.Add(r.Topic, string(typ), r.Value)
		}
	}
	f.Fuzz(func(t *testing.T, topic, typ string, value []byte) {
		r := querytest.NewWriter().Placed(viewtest.ID("o"), "c-1")
		r.Topic, r.Value, r.Headers = topic, value, brokertest.SetHeader(r.Headers, "ce_type", []byte(typ))
		doc := query.FoldOrder([]broker.Record{r})
		text, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		var again query.Document
		if err := json.Unmarshal(text, &again); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(doc, again); d != "" {
			t.Fatal(d)
		}
		if again, err = readmodel.Parse(string(readmodel.Append(nil, doc))); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(doc, again); d != "" {
			t.Fatal(d)
		}
		readmodel.Index(new(projection.Writes).Begin(""), "o", query.Document{}, doc)
	})
}
