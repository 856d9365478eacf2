package narrate_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/services/troupe/internal/narrate"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

func TestTellsEachEventOnce(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	gap := 12.4
	story := []rest.Event{
		{ID: "1", Type: "troupe.order.v1.OrderPlaced", Source: "order", Time: at,
			Data: json.RawMessage(`{"total":"2500","currency":"EUR","lines":[{"name":"Green \u001b[31mtea","quantity":2}]}`)},
		{ID: "2", Type: "troupe.payment.v1.PaymentDeclined", Source: "payment", Time: at.Add(12 * time.Millisecond), GapMS: &gap,
			Data: json.RawMessage(`{"reason":"insufficient_funds"}`)},
		{ID: "3", Type: "troupe.order.v1.OrderCancelled", Source: "order", Time: at.Add(20 * time.Millisecond),
			Data: json.RawMessage(`{"reason":"CANCELLATION_REASON_PAYMENT_DECLINED"}`)},
	}
	stories := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/stream") {
			for v := range 4 {
				fmt.Fprintf(w, "event: order\ndata: {\"id\":\"o1\",\"version\":%d,\"settled\":%v}\n\n", v+1, v == 3)
			}
			return
		}
		stories++
		if stories == 2 || stories == 5 { // the story is away for a moment, and again when the last document has come
			problem.Write(w, r, fault.New(fault.Unavailable, "away"))
			return
		}
		_ = json.NewEncoder(w).Encode(rest.Story{OrderID: "o1", Events: story[:min(stories, 3)]})
	}))
	defer srv.Close()
	var out strings.Builder
	n := narrate.New(&out, rest.New("", srv.URL), "o1")
	last, err := n.Until(t.Context(), func(o rest.Order) bool { return o.Settled })
	if err != nil || last.Version != 4 {
		t.Fatalf("got %+v, %v", last, err)
	}
	want := "" +
		"        0 ms  order         OrderPlaced                         2 × Green �[31mtea for 25.00 EUR\n" +
		"       12 ms  payment       PaymentDeclined              +12 ms insufficient_funds\n" +
		"       20 ms  order         OrderCancelled                      because of payment declined\n"
	if got := out.String(); got != want {
		t.Errorf("told\n%s\nwant\n%s", got, want)
	}
}

func TestTellsWhatWasParked(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, tc := range []struct{ kind, typ, class, message, want string }{
		{"event", "troupe.order.v1.OrderPlaced", "", "", "OrderPlaced"},
		{"dead_letter", "troupe.order.v1.OrderPlaced", "permanent", "no\x1b", "parked OrderPlaced                  permanent: no�"},
		{"failed", "troupe.deadletter.failed", "", "no", "failed again                        no"},
		{"discarded", "troupe.deadletter.discarded", "", "", "discarded"},
		{"closed", "", "", "2 wait", "redrive ended                       2 wait"},
	} {
		got := narrate.Line(false, rest.Event{Kind: tc.kind, Type: tc.typ, Source: "payment", Class: tc.class, Message: tc.message, Time: at}, at)
		if want := "        0 ms  payment       " + tc.want; strings.TrimRight(got, " \n") != want {
			t.Errorf("%s: got\n%q, want\n%q", tc.kind, got, want)
		}
	}
}
