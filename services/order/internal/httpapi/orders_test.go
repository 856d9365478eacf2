package httpapi

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/troupe-dev/troupe/pkg/clock"
	"github.com/troupe-dev/troupe/pkg/event"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/participant/admission"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	"github.com/troupe-dev/troupe/services/order/internal/domain"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// teaHash is the hash of the request tea.
var teaHash = func() []byte {
	var b PlaceOrder
	if err := json.Unmarshal([]byte(tea), &b); err != nil {
		panic(err)
	}
	return b.Hash()
}()

func admits(a admission.Decision[domain.Order]) *fakeDoor { return &fakeDoor{admission: a} }

func folded(hash []byte, s domain.Status, offset int64) *admission.Order[domain.Order] {
	return &admission.Order[domain.Order]{
		State:     domain.Order{Status: s, BodyHash: hash, Total: 2500, Currency: "EUR", PlacedAt: morning},
		Partition: 7, Offset: offset,
	}
}

func TestPlacePublishesTheOrderAndAnswers(t *testing.T) {
	d := admits(admission.Decision[domain.Order]{New: true})
	w := do(serve(t, d), "POST", "/orders", tea)
	id := event.MakeID("order", "c-1001", key)
	if w.Code != 202 || w.Header().Get("Location") != "http://query.test/orders/"+id || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	var got PlacedOrder
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.ID != id || got.Status != "placed" || got.Total != 2500 || got.Currency != "EUR" {
		t.Errorf("answer %+v", got)
	}
	if tp, offset, err := event.ParseToken(got.ConsistencyToken); err != nil || tp.Topic != "order.events.v1" || tp.Partition != 7 || offset != 42 {
		t.Errorf("token %v@%d, %v", tp, offset, err)
	}
	if len(d.published) != 1 {
		t.Fatalf("published %v", d.published)
	}
	e := d.published[0]
	if e.ID != event.MakeID(id, "OrderPlaced") || e.Type != "troupe.order.v1.OrderPlaced" || e.Source != "order" || e.Subject != id ||
		e.Sequence != 1 || e.PreviousID != "" || e.CausationID != "" || !e.Time.Equal(morning) {
		t.Errorf("event %+v", e)
	}
	m, err := event.Decode(e)
	if err != nil {
		t.Fatal(err)
	}
	want := &orderv1.OrderPlaced{
		CustomerId: "c-1001", Email: "ada@example.com", Currency: "EUR", PaymentMethod: "pm_card_visa", Total: 2500,
		Lines:    []*orderv1.Line{{Sku: "TEA-250", Name: "Green tea", Quantity: 2, UnitPrice: 1250}},
		PlacedAt: timestamppb.New(morning), PaymentDeadline: timestamppb.New(morning.Add(15 * time.Minute)), BodyHash: teaHash,
	}
	if diff := cmp.Diff(proto.Message(want), m.Body, protocmp.Transform()); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	if mark := id + " " + hex.EncodeToString(teaHash); len(d.marked) != 1 || d.marked[0] != mark || d.asked[0] != mark {
		t.Errorf("asked %v, marked %v, want %s", d.asked, d.marked, mark)
	}
}

func TestARepeatedPlaceIsAnsweredFromWhatIsKnown(t *testing.T) {
	other := []byte("another body")
	for _, tc := range []struct {
		name      string
		admission admission.Decision[domain.Order]
		code      int
		offset    int64
		slug      string
	}{
		{"folded, same body", admission.Decision[domain.Order]{Folded: folded(teaHash, domain.Placed, 41)}, 202, 41, ""},
		{"folded, settled since", admission.Decision[domain.Order]{Folded: folded(teaHash, domain.Cancelled, 41)}, 202, 41, ""},
		{"folded, first fact trimmed", admission.Decision[domain.Order]{Folded: folded(teaHash, domain.Confirmed, -1)}, 202, 0, ""},
		{"folded, other body", admission.Decision[domain.Order]{Folded: folded(other, domain.Placed, 41)}, 422, 0, "idempotency-key-reused"},
		{"marked, published", admission.Decision[domain.Order]{SameBody: true, Published: true, Offset: 40, Partition: 7}, 202, 40, ""},
		{"marked, in flight", admission.Decision[domain.Order]{SameBody: true}, 409, 0, "request-in-flight"},
		{"marked, other body in flight", admission.Decision[domain.Order]{}, 422, 0, "idempotency-key-reused"},
		{"marked, other body published", admission.Decision[domain.Order]{Published: true, Offset: 4}, 422, 0, "idempotency-key-reused"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := admits(tc.admission)
			w := do(serve(t, d), "POST", "/orders", tea)
			if len(d.published) > 0 {
				t.Errorf("published %v", d.published)
			}
			if w.Code != tc.code {
				t.Fatalf("status %d: %s", w.Code, w.Body)
			}
			if tc.code != 202 {
				if p := read(t, w); p.Type != "urn:troupe:problem:"+tc.slug {
					t.Errorf("type %s", p.Type)
				}
				if again := w.Header().Get("Retry-After"); (again != "") != (tc.code == 409) {
					t.Errorf("Retry-After %q", again)
				}
				return
			}
			var got PlacedOrder
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			tp, offset, err := event.ParseToken(got.ConsistencyToken)
			if err != nil || tp.Partition != 7 || offset != tc.offset || got.Status != "placed" || got.Total != 2500 {
				t.Errorf("answer %+v, token %v@%d, %v", got, tp, offset, err)
			}
		})
	}
}

func TestPlaceWhenThingsAreDown(t *testing.T) {
	isNew := admission.Decision[domain.Order]{New: true}
	down := fault.Later(3*time.Second, "redis: connection refused")
	for name, d := range map[string]*fakeDoor{
		"store down":   {admitErr: down},
		"log down":     {admission: isNew, pubErr: down},
		"store broken": {admission: isNew, pubErr: errors.Join(down, errors.New("twice"))},
	} {
		w := do(serve(t, d), "POST", "/orders", tea)
		if p := read(t, w); w.Code != 503 || w.Header().Get("Retry-After") != "3" || strings.Contains(p.Detail, "redis") {
			t.Errorf("%s: %d, Retry-After %q, %+v", name, w.Code, w.Header().Get("Retry-After"), p)
		}
		if len(d.marked) > 0 {
			t.Errorf("%s: marked as published", name)
		}
	}
	d := &fakeDoor{admission: isNew, markErr: down}
	if w := do(serve(t, d), "POST", "/orders", tea); w.Code != 202 {
		t.Errorf("the order is in the log, but the answer is %d: %s", w.Code, w.Body)
	}
}

// An order placed by a clock that is wrong would carry a deadline that is: it is not taken.
func TestPlaceByAClockThatIsWrong(t *testing.T) {
	c, forget := clock.New(clock.Config{MaxSkew: 30 * time.Second})
	defer forget()
	d := admits(admission.Decision[domain.Order]{New: true})
	h := serveBy(t, d, c)
	now := time.Now()
	c.Heard(clock.Redis, now.Add(30*time.Minute), 0, now, now)
	w := do(h, "POST", "/orders", tea)
	if read(t, w); w.Code != 503 || w.Header().Get("Retry-After") == "" || len(d.asked)+len(d.published) != 0 {
		t.Errorf("%d, Retry-After %q, asked %v, published %v", w.Code, w.Header().Get("Retry-After"), d.asked, d.published)
	}
	c.Heard(clock.Redis, now, 0, now, now)
	if w := do(h, "POST", "/orders", tea); w.Code != 202 {
		t.Errorf("right again: %d %s", w.Code, w.Body)
	}
}

// Nor does it say for good that an order can no longer be cancelled.
func TestCancelByAClockThatIsWrong(t *testing.T) {
	c, forget := clock.New(clock.Config{MaxSkew: 30 * time.Second})
	defer forget()
	old := folded(teaHash, domain.Confirmed, 41)
	old.State.PlacedAt = morning.Add(-336*time.Hour - time.Millisecond)
	h := serveBy(t, &fakeDoor{found: *old, ok: true}, c)
	now := time.Now()
	c.Heard(clock.Redis, now.Add(30*time.Minute), 0, now, now)
	if w := do(h, "POST", "/orders/"+orderID+"/cancel", ""); w.Code != 503 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestTheKeyBelongsToTheCustomer(t *testing.T) {
	d := admits(admission.Decision[domain.Order]{New: true})
	h := serve(t, d)
	do(h, "POST", "/orders", tea)
	do(h, "POST", "/orders", strings.Replace(tea, "c-1001", "c-1002", 1))
	do(h, "POST", "/orders", " "+strings.Replace(tea, `"quantity":2,`, `"quantity" : 2 ,`, 1))
	do(h, "POST", "/orders", tea, "Idempotency-Key: another-key")
	if len(d.asked) != 4 || d.asked[0] == d.asked[1] || d.asked[0] == d.asked[3] {
		t.Errorf("asked %v", d.asked)
	}
	if d.asked[0] != d.asked[2] {
		t.Error("the same request written otherwise is another one")
	}
}

const orderID = "0f8fad5b-d9cb-569f-a165-70867728950e"

func TestCancelPublishesTheRequest(t *testing.T) {
	for _, s := range []domain.Status{domain.Placed, domain.Confirmed, domain.Cancelled} {
		d := &fakeDoor{found: *folded(teaHash, s, 41), ok: true}
		h := serve(t, d)
		first, second := do(h, "POST", "/orders/"+orderID+"/cancel", "", "Content-Type: ", "Idempotency-Key: "), do(h, "POST", "/orders/"+orderID+"/cancel", "ignored")
		if first.Code != 202 || second.Code != 202 {
			t.Fatalf("%s: %d %s, %d %s", s, first.Code, first.Body, second.Code, second.Body)
		}
		var got CancellationAccepted
		if err := json.Unmarshal(first.Body.Bytes(), &got); err != nil || got.ID != orderID || string(got.Status) != string(s) {
			t.Errorf("%s: %+v, %v", s, got, err)
		}
		if _, offset, err := event.ParseToken(got.ConsistencyToken); err != nil || offset != 42 {
			t.Errorf("%s: token at %d, %v", s, offset, err)
		}
		e := d.published[0]
		if e.ID != event.MakeID(orderID, "OrderCancellationRequested") || e.ID != d.published[1].ID || e.Sequence != 0 || e.Subject != orderID ||
			e.Type != "troupe.order.v1.OrderCancellationRequested" || !e.Time.Equal(morning) {
			t.Errorf("%s: published %+v", s, d.published)
		}
		m, err := event.Decode(e)
		if err != nil || !m.Body.(*orderv1.OrderCancellationRequested).GetRequestedAt().AsTime().Equal(morning) {
			t.Errorf("%s: body %v, %v", s, m.Body, err)
		}
	}
}

func TestCancelRefusals(t *testing.T) {
	old := folded(teaHash, domain.Confirmed, 41)
	old.State.PlacedAt = morning.Add(-336*time.Hour - time.Millisecond)
	down := fault.Later(time.Second, "partition 7 is not folded yet")
	for _, tc := range []struct {
		name, path string
		door       *fakeDoor
		code       int
		slug       string
	}{
		{"no such order", orderID, &fakeDoor{}, 404, "not-found"},
		{"never a false 404", orderID, &fakeDoor{findErr: down}, 503, "unavailable"},
		{"after the window", orderID, &fakeDoor{found: *old, ok: true}, 409, "cancel-window-closed"},
		{"log down", orderID, &fakeDoor{found: *folded(teaHash, domain.Placed, 1), ok: true, pubErr: down}, 503, "unavailable"},
		{"no UUID", "42", &fakeDoor{}, 400, "invalid-request"},
		{"UUID in capitals", strings.ToUpper(orderID), &fakeDoor{}, 400, "invalid-request"},
		{"NUL", "%00", &fakeDoor{}, 400, "invalid-request"},
		{"slash", "a%2Fb", &fakeDoor{}, 400, "invalid-request"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := do(serve(t, tc.door), "POST", "/orders/"+tc.path+"/cancel", "")
			p := read(t, w)
			if w.Code != tc.code || p.Type != "urn:troupe:problem:"+tc.slug {
				t.Errorf("%d %+v", w.Code, p)
			}
			if tc.code == 400 && (len(p.Errors) != 1 || p.Errors[0].Field != "id") {
				t.Errorf("field not named: %+v", p)
			}
			if len(tc.door.published) > 0 {
				t.Errorf("published %v", tc.door.published)
			}
		})
	}
}

func TestWhatIsNotServed(t *testing.T) {
	h := serve(t, &fakeDoor{})
	if w := do(h, "GET", "/nothing", ""); read(t, w).Status != 404 {
		t.Errorf("unknown path: %d", w.Code)
	}
	for path, allow := range map[string]string{"/orders": "POST", "/orders/" + orderID + "/cancel": "POST"} {
		if w := do(h, "GET", path, ""); read(t, w).Status != http.StatusMethodNotAllowed || w.Header().Get("Allow") != allow {
			t.Errorf("GET %s: %d, Allow %q", path, w.Code, w.Header().Get("Allow"))
		}
	}
	if w := do(h, "GET", "/panics", ""); read(t, w).Status != 500 {
		t.Errorf("panic: %d", w.Code)
	}
}
