package httpapi_test

import (
	"fmt"
	"testing"

	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/services/console/internal/httpapi"
)

func TestLogIsPagedNewestFirst(t *testing.T) {
	d := open(t)
	var ids []string
	for i := range 5 {
		id, letters := d.parked(fmt.Sprint(i), "invalid", "no")
		stop := d.Answer("payment", func(q deadletter.Request) []deadletter.Record {
			if q.Order != id {
				return nil
			}
			return comesBack(letters)(q)
		})
		do[httpapi.RequestState](d, "POST", "/payment/"+id+"/redrive", `{`+by+`}`, 200)
		stop()
		ids = append(ids, id)
	}
	d.Park("order", "invalid", "no", d.Placed(ids[0], "c-1"))
	d.Caught()
	for query, want := range map[string]int{"": 20, "?participant=payment": 20, "?participant=order": 0, "?order_id=" + ids[2]: 4, "?order_id=" + event.MakeID("no"): 0} {
		for _, size := range []int{3, 200} {
			var all []httpapi.LogEntry
			for token := ""; ; {
				join := "?"
				if query != "" {
					join = "&"
				}
				page := get[httpapi.LogPage](d, fmt.Sprintf("/log%s%spage_size=%d&page_token=%s", query, join, size, token))
				all = append(all, page.Entries...)
				if token = page.NextPageToken; token == "" {
					break
				}
			}
			if len(all) != want {
				t.Errorf("%s by %d: %d entries, not %d", query, size, len(all), want)
			}
			if query == "" && all[len(all)-1].OrderID != ids[0] {
				t.Errorf("the oldest is of %s", all[len(all)-1].OrderID)
			}
		}
	}
}
