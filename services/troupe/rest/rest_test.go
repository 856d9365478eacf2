package rest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/schemas/client/queryapi"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

func serve(t *testing.T, h http.HandlerFunc) *rest.Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return rest.New(srv.URL+"/", srv.URL)
}

func TestPlace(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method != "POST" || r.URL.Path != "/orders" || r.Header.Get("Idempotency-Key") != "key-0001" ||
			!strings.Contains(string(body), `"payment_method":"pm_card_visa"`) {
			t.Errorf("got %s %s %v %s", r.Method, r.URL, r.Header, body)
		}
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprint(w, `{"id":"o1","status":"placed","total":2500,"currency":"EUR","consistency_token":"tok","new":1}`)
	})
	a, err := c.Place(t.Context(), "key-0001", rest.PlaceOrder{PaymentMethod: "pm_card_visa"})
	if err != nil || a.ID != "o1" || a.ConsistencyToken != "tok" || a.Total != 2500 || a.Status != "placed" {
		t.Errorf("got %+v, %v", a, err)
	}
}

// What is safe to repeat goes to another connection when a server closes, unread, the one that was kept.
func TestCancelIsSentAgainWhenAServerCloses(t *testing.T) {
	got := 0
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if _, sent := r.Header["Idempotency-Key"]; sent {
			t.Error("a header that the API does not know")
		}
		if got++; got == 2 {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprint(w, `{"id":"o1"}`)
	})
	for range 2 {
		if _, err := c.Cancel(t.Context(), "o1"); err != nil {
			t.Error(err)
		}
	}
	if got != 3 {
		t.Errorf("%d requests arrived", got)
	}
}

// An order is placed as its customer; all else is asked as whomever the client acts for.
func TestRequestsBearTokens(t *testing.T) {
	var seen []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Get("Authorization"))
		fmt.Fprint(w, "{}")
	}))
	t.Cleanup(srv.Close)
	tokens := func(subject string) (string, error) {
		if subject == "nobody" {
			return "", errors.New("no token")
		}
		return "of-" + subject, nil
	}
	bare, console := rest.New(srv.URL, srv.URL), rest.NewConsole(srv.URL)
	for _, c := range []*rest.Client{bare.As(tokens), bare} {
		for _, err := range []error{
			second(c.Place(t.Context(), "key-0001", rest.PlaceOrder{CustomerID: "cy"})), second(c.Cancel(t.Context(), "o1")),
			second(c.Order(t.Context(), "o1", rest.Read{})), second(c.List(t.Context(), rest.Filter{})),
			second(c.Story(t.Context(), "o1")),
		} {
			if err != nil {
				t.Error(err)
			}
		}
	}
	for _, c := range []*rest.Console{console.As(tokens), console} {
		if _, err := c.Groups(t.Context(), rest.LetterFilter{}); err != nil {
			t.Error(err)
		}
	}
	if got, want := strings.Join(seen, ","), "Bearer of-cy"+strings.Repeat(",Bearer of-", 4)+",,,,,,Bearer of-,"; got != want {
		t.Errorf("%q, not %q", got, want)
	}
	before := len(seen)
	if _, err := bare.As(tokens).Place(t.Context(), "key-0001", rest.PlaceOrder{CustomerID: "nobody"}); err == nil || len(seen) > before {
		t.Errorf("without a token: %v, sent %v", err, len(seen) > before)
	}
}

func second[T any](_ T, err error) error { return err }

func TestOrderAsksToWait(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RequestURI() != "/orders/o%2F1?until=settled" || r.Header.Get("Consistency-Token") != "tok" || r.Header.Get("Prefer") != "wait=5" {
			t.Errorf("got %s %v", r.URL.RequestURI(), r.Header)
		}
		fmt.Fprint(w, `{"id":"o1","status":"cancelled","settled":true,"payment":{"status":"declined"},"cancellation":{"reason":"payment_declined"}}`)
	})
	o, err := c.Order(t.Context(), "o/1", rest.Read{Token: "tok", Wait: 5 * time.Second, UntilSettled: true})
	if err != nil || !o.Settled || o.Payment.Status != "declined" || o.Cancellation.Reason != "payment_declined" {
		t.Errorf("got %+v, %v", o, err)
	}
}

func TestProblemsKeepTheirClass(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		problem.Write(w, r, fault.Field("/lines/0/quantity", "must be at most 10000"))
	})
	_, err := c.Place(t.Context(), "key-0001", rest.PlaceOrder{})
	var p *problem.Problem
	if !errors.As(err, &p) || p.Status != 400 || fault.ClassOf(err) != fault.Invalid || p.Errors[0].Field != "/lines/0/quantity" {
		t.Errorf("got %v", err)
	}
	if _, err := rest.New("http://127.0.0.1:1", "").Cancel(t.Context(), "x"); fault.ClassOf(err) != fault.Unavailable {
		t.Errorf("nobody there: %v", err)
	}
}

func TestListAsksForWhatIsSet(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.URL.Query().Encode(); got != "customer_id=c+1&page_size=3&status=placed" {
			t.Errorf("query = %s", got)
		}
		fmt.Fprint(w, `{"orders":[{"id":"o1"}],"next_page_token":"n"}`)
	})
	p, err := c.List(t.Context(), rest.Filter{CustomerID: "c 1", Status: "placed", PageSize: 3})
	if err != nil || len(p.Orders) != 1 || p.NextPageToken != "n" {
		t.Errorf("got %+v, %v", p, err)
	}
}

func TestFollowComesBackWhereItWas(t *testing.T) {
	calls := 0
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		calls++
		w.Header().Set("Content-Type", "text/event-stream")
		switch calls {
		case 1: // two documents, one on two lines, then the connection breaks
			fmt.Fprint(w, ": hello\n\nevent: order\nid: 1\ndata: {\"id\":\"o1\",\ndata: \"version\":1}\n\nevent: other\ndata: {}\n\n")
			fmt.Fprint(w, "event: order\nid: 2\ndata: {\"id\":\"o1\",\"version\":2}\n\nevent: order\ndata: {\"cut")
		case 2:
			problem.Write(w, r, fault.Later(time.Second, "away"))
		default:
			if got := r.Header.Get("Last-Event-ID"); got != "2" {
				t.Errorf("Last-Event-ID = %q, want 2", got)
			}
			fmt.Fprint(w, "event: order\nid: 4\ndata: {\"id\":\"o1\",\"version\":4,\"settled\":true}\n\n")
		}
	})
	var versions []int64
	err := c.Follow(t.Context(), "o1", func(o rest.Order) bool { versions = append(versions, o.Version); return o.Settled })
	if err != nil || fmt.Sprint(versions) != "[1 2 4]" {
		t.Errorf("versions %v, %v", versions, err)
	}
}

func TestFollowEnds(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		problem.Write(w, r, fault.New(fault.NotFound, "no such order"))
	})
	if err := c.Follow(t.Context(), "o1", nil); fault.ClassOf(err) != fault.NotFound {
		t.Errorf("unknown order: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	c = serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		cancel()
		<-r.Context().Done()
	})
	if err := c.Follow(ctx, "o1", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestEnded(t *testing.T) {
	mail := func(kinds ...string) (n []queryapi.Notification) {
		for _, k := range kinds {
			n = append(n, queryapi.Notification{Kind: k})
		}
		return n
	}
	for _, tt := range []struct {
		status, payment string
		mails           []string
		want            bool
	}{
		{"confirmed", "succeeded", nil, false},
		{"confirmed", "succeeded", []string{"confirmed"}, true},
		{"cancelled", "declined", []string{"cancelled"}, true},
		{"cancelled", "refunded", []string{"confirmed", "cancelled"}, false},
		{"cancelled", "refunded", []string{"cancelled", "refunded"}, true},
	} {
		o := rest.Order{Status: tt.status, Payment: queryapi.Payment{Status: tt.payment}, Notifications: mail(tt.mails...)}
		if rest.Ended(o) {
			t.Errorf("%+v: not settled, and ended", tt)
		}
		if o.Settled = true; rest.Ended(o) != tt.want {
			t.Errorf("%+v: ended = %v", tt, !tt.want)
		}
	}
}
