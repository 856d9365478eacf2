package httpapi_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/pkg/broker/brokertest"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/view/viewtest"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	"github.com/troupe-dev/troupe/services/console/internal/httpapi"
	"google.golang.org/protobuf/proto"
)

const by = `"by":"ada.l","reason":"because"`

// comesBack answers a request by what it asks for: letters are those of the order.
func comesBack(letters []string, fails ...string) func(deadletter.Request) []deadletter.Record {
	waiting := slices.Clone(letters)
	redrives := map[string]int{}
	return func(q deadletter.Request) (told []deadletter.Record) {
		if q.Action == deadletter.Discard {
			waiting = slices.DeleteFunc(waiting, func(id string) bool { return id == q.Letter })
			return []deadletter.Record{{Kind: deadletter.Discarded, ID: q.Letter}, {Kind: deadletter.Closed, Waiting: len(waiting)}}
		}
		came := 0
		for len(waiting) > 0 && !slices.Contains(fails, waiting[0]) {
			kind := deadletter.Redriven
			if q.Action == deadletter.Edit && came == 0 {
				kind = deadletter.Edited
			}
			told = append(told, deadletter.Record{Kind: kind, ID: waiting[0]})
			waiting = waiting[1:]
			came++
		}
		if len(waiting) > 0 {
			redrives[waiting[0]]++
			told = append(told, deadletter.Record{Kind: deadletter.Failed, ID: waiting[0], Class: "conflict", Message: "still no", Redrives: redrives[waiting[0]]})
		}
		return append(told, deadletter.Record{Kind: deadletter.Closed, Redriven: came, Waiting: len(waiting)})
	}
}

func TestRedriveSaysWhatBecameOfIt(t *testing.T) {
	d := open(t)
	id, letters := d.parked("o", "invalid", "no")
	path := "/payment/" + id
	// Nobody answers yet.
	state, h := do[httpapi.RequestState](d, "POST", path+"/redrive", `{`+by+`}`, http.StatusAccepted, "Prefer", "wait=0")
	if state.State != httpapi.RequestStateStateWaiting || h.Get("Location") != "/api/dead-letters/requests/"+state.RequestID {
		t.Errorf("%+v %v", state, h)
	}
	d.Caught()
	if again, _ := do[httpapi.RequestState](d, "GET", "/requests/"+state.RequestID, "", http.StatusAccepted, "Prefer", "wait=0"); again != state {
		t.Errorf("%+v, not %+v", again, state)
	}
	stop := d.Answer("payment", comesBack(letters, letters[1]))
	again, _ := do[httpapi.RequestState](d, "GET", "/requests/"+state.RequestID, "", http.StatusOK, "Prefer", "wait=30")
	want := httpapi.RequestState{
		RequestID: state.RequestID, Participant: "payment", OrderID: id, Action: httpapi.RequestStateActionRedrive, State: httpapi.RequestStateStateFailed,
		Redriven: 1, Waiting: 1, LetterID: letters[1], Class: "conflict", Message: "still no",
	}
	if again != want {
		t.Errorf("%+v, not %+v", again, want)
	}
	// After the fix.
	stop()
	d.Answer("payment", func(q deadletter.Request) []deadletter.Record {
		if q.ID == state.RequestID { // answered before
			return nil
		}
		return comesBack(letters[1:])(q)
	})
	done, _ := do[httpapi.RequestState](d, "POST", path+"/redrive", `{`+by+`}`, http.StatusOK, "Prefer", "wait=30")
	if done.State != httpapi.RequestStateStateDone || done.Redriven != 1 || done.Waiting != 0 || done.Message != "" {
		t.Errorf("%+v", done)
	}
	if got := refused(d, "POST", path+"/redrive", `{`+by+`}`, 409); got != "letter-not-waiting" {
		t.Error(got)
	}
	c := get[httpapi.Chain](d, path)
	var kinds []string
	for _, o := range c.Outcomes {
		kinds = append(kinds, string(o.Kind))
		if o.By != "ada.l" || o.Reason != "because" || o.RequestID == "" || o.OrderID != id {
			t.Errorf("%+v", o)
		}
	}
	slices.Sort(kinds)
	if got := strings.Join(kinds, " "); got != "closed closed failed redriven redriven request request" || c.Waiting != 0 {
		t.Errorf("%d wait, %s", c.Waiting, got)
	}
	if got := refused(d, "GET", "/requests/unheard-of", "", 404); got != "not-found" {
		t.Error(got)
	}
}

func TestEditReplacesThePayload(t *testing.T) {
	d := open(t)
	id, letters := d.parked("o", "invalid", "no")
	path := "/payment/" + id + "/edit"
	edit := func(letter, payload string) string {
		return fmt.Sprintf(`{%s,"letter_id":%q,"payload":%s}`, by, letter, payload)
	}
	for payload, want := range map[string]string{
		`{"total":"12","colour":"red","lines":[{"sku":"x"},{"sku":"y","size":1}]}`: "invalid-payload /payload/colour /payload/lines/1/size",
		`{"total":"much"}`:         "invalid-payload /payload",
		`{"lines":[1]}`:            "invalid-payload /payload/lines/0",
		`{"placed_at":"tomorrow"}`: "invalid-payload /payload",
		`{"customer_id":"` + strings.Repeat("c", 950_000) + `"}`: "invalid-payload /payload",
	} {
		if got := refused(d, "POST", path, edit(letters[0], payload), 422); got != want {
			t.Errorf("%.60s: %s, not %s", payload, got, want)
		}
	}
	if got := refused(d, "POST", path, edit(letters[1], `{}`), 409); got != "not-the-head" {
		t.Error(got)
	}
	if got := refused(d, "POST", path, edit("another", `{}`), 409); got != "letter-not-waiting" {
		t.Error(got)
	}
	heard := make(chan deadletter.Request, 1)
	answer := comesBack(letters)
	d.Answer("payment", func(q deadletter.Request) []deadletter.Record { heard <- q; return answer(q) })
	done, _ := do[httpapi.RequestState](d, "POST", path, edit(letters[0], `{"customerId":"c-2","total":"77","placed_at":"2026-03-01T09:30:00Z"}`), 200)
	if done.State != httpapi.RequestStateStateDone || done.Redriven != 2 || done.Action != httpapi.RequestStateActionEdit {
		t.Errorf("%+v", done)
	}
	q := <-heard
	var body orderv1.OrderPlaced
	if err := proto.Unmarshal(q.Payload, &body); err != nil || body.GetCustomerId() != "c-2" || body.GetTotal() != 77 || q.Letter != letters[0] || q.Action != deadletter.Edit {
		t.Errorf("%+v %v %v", q, &body, err)
	}
	// An event of no known type has no payload that could be checked.
	strange := d.Placed(viewtest.ID("strange"), "c-1")
	strange.Headers = brokertest.SetHeader(strange.Headers, "ce_type", []byte("troupe.order.v1.OrderLost"))
	ids := d.Park("payment", "permanent", "unknown type", strange)
	d.Caught()
	if got := refused(d, "POST", "/payment/"+viewtest.ID("strange")+"/edit", edit(ids[0], `{}`), 422); got != "invalid-payload /letter_id" {
		t.Error(got)
	}
}

func TestDiscardTakesOneLetterOut(t *testing.T) {
	d := open(t)
	id, letters := d.parked("o", "invalid", "no")
	d.Answer("payment", comesBack(letters))
	path := "/payment/" + id + "/discard"
	done, _ := do[httpapi.RequestState](d, "POST", path, fmt.Sprintf(`{%s,"letter_id":%q}`, by, letters[1]), 200)
	if done.State != httpapi.RequestStateStateDone || done.Waiting != 1 {
		t.Errorf("%+v", done)
	}
	if c := get[httpapi.Chain](d, "/payment/"+id); c.Waiting != 1 || c.Letters[0].LetterID != letters[0] {
		t.Errorf("%+v", c)
	}
	if got := refused(d, "POST", path, fmt.Sprintf(`{%s,"letter_id":%q}`, by, letters[1]), 409); got != "letter-not-waiting" {
		t.Error(got)
	}
}

// A request that came too late is closed with the reason, and that is what is said.
func TestRefusedByTheParticipant(t *testing.T) {
	d := open(t)
	id, letters := d.parked("o", "invalid", "no")
	d.Answer("payment", func(deadletter.Request) []deadletter.Record {
		return []deadletter.Record{{Kind: deadletter.Closed, Waiting: 2, Message: "the letter is not parked"}}
	})
	state, _ := do[httpapi.RequestState](d, "POST", "/payment/"+id+"/discard", fmt.Sprintf(`{%s,"letter_id":%q}`, by, letters[0]), 200)
	if state.State != httpapi.RequestStateStateRefused || state.Message != "the letter is not parked" || state.Waiting != 2 {
		t.Errorf("%+v", state)
	}
}

// Viewers ask what became of a request, and read the log: neither shows what lists mask.
func TestWhatBecameOfARequestIsMasked(t *testing.T) {
	d := open(t)
	const said, masked = "no such card pm_card_visa of ada@example.com", "no such card *** of ***"
	id, letters := d.parked("o", "invalid", said)
	d.Answer("payment", func(deadletter.Request) []deadletter.Record {
		return []deadletter.Record{
			{Kind: deadletter.Failed, ID: letters[0], Class: "invalid", Message: said, Redrives: 1},
			{Kind: deadletter.Closed, Waiting: 2, Message: said},
		}
	})
	state, _ := do[httpapi.RequestState](d, "POST", "/payment/"+id+"/redrive", `{`+by+`}`, 200)
	again, _ := do[httpapi.RequestState](d, "GET", "/requests/"+state.RequestID, "", 200)
	messages := []string{state.Message, again.Message}
	for _, e := range get[httpapi.LogPage](d, "/log").Entries {
		if e.Kind != httpapi.LogEntryKindRequest {
			messages = append(messages, e.Message)
		}
	}
	if want := []string{masked, masked, masked, masked}; !slices.Equal(messages, want) {
		t.Errorf("%q, not %q", messages, want)
	}
}

func TestLoopGuardTakesForce(t *testing.T) {
	d := open(t)
	id, letters := d.parked("o", "invalid", "no")
	d.Answer("payment", comesBack(letters, letters[0]))
	path := "/payment/" + id + "/redrive"
	for range 5 {
		if s, _ := do[httpapi.RequestState](d, "POST", path, `{"by":"ada.l"}`, 200); s.State != httpapi.RequestStateStateFailed {
			t.Fatalf("%+v", s)
		}
	}
	if got := refused(d, "POST", path, `{"by":"ada.l"}`, 409); got != "redriven-too-often" {
		t.Error(got)
	}
	if s, _ := do[httpapi.RequestState](d, "POST", path, `{"by":"ada.l","force":true}`, 200); s.State != httpapi.RequestStateStateFailed {
		t.Errorf("%+v", s)
	}
	if c := get[httpapi.Chain](d, "/payment/"+id); c.Letters[0].Redrives != 6 || c.Letters[0].Message != "still no" {
		t.Errorf("%+v", c.Letters[0].Redrives)
	}
}

func TestBadRequestsAreRefused(t *testing.T) {
	d := open(t)
	id, letters := d.parked("o", "invalid", "no")
	path := "/payment/" + id
	for _, c := range []struct {
		path, body string
		headers    []string
		status     int
		want       string
	}{
		{path + "/redrive", `{}`, nil, 400, "invalid-request /by"},
		{path + "/redrive", `{"by":""}`, nil, 400, "invalid-request /by"},
		{path + "/redrive", `{"by":"a\nb"}`, nil, 400, "invalid-request /by"},
		{path + "/redrive", `{"by":"ada.l","why":"x"}`, nil, 400, "invalid-request /why"},
		{path + "/redrive", `{"by":"ada.l","reason":"` + strings.Repeat("x", 1001) + `"}`, nil, 400, "invalid-request /reason"},
		{path + "/redrive", `{"by":"ada.l"}`, []string{"Prefer", "wait=31"}, 400, "invalid-request Prefer"},
		{path + "/redrive", `{"by":"ada.l"}`, []string{"Content-Type", "text/plain"}, 415, "unsupported-media-type Content-Type"},
		{path + "/redrive", `{"by":"ada.l"}`, []string{"Sec-Fetch-Site", "cross-site"}, 403, "cross-origin"},
		{path + "/redrive", `{"by":"ada.l"}`, []string{"Origin", "http://evil.example"}, 403, "cross-origin"},
		{path + "/redrive", `{"by":"` + strings.Repeat("x", 3<<20) + `"}`, nil, 413, "body-too-large"},
		{path + "/edit", `{"by":"ada.l","letter_id":"` + letters[0] + `","payload":{}}`, nil, 400, "invalid-request /reason"},
		{path + "/edit", `{` + by + `,"letter_id":"` + letters[0] + `"}`, nil, 400, "invalid-request /payload"},
		{path + "/edit", `{` + by + `,"letter_id":"` + letters[0] + `","payload":null}`, nil, 400, "invalid-request /payload"},
		{path + "/edit", `{` + by + `,"letter_id":"` + letters[0] + `","payload":"text"}`, nil, 400, "invalid-request /payload"},
		{path + "/discard", `{"by":"ada.l","letter_id":"` + letters[0] + `"}`, nil, 400, "invalid-request /reason"},
		{path + "/discard", `{` + by + `}`, nil, 400, "invalid-request /letter_id"},
		{"/payment/" + viewtest.ID("unknown") + "/redrive", `{"by":"ada.l"}`, nil, 404, "not-found"},
		{"/shipping/" + id + "/redrive", `{"by":"ada.l"}`, nil, 404, "not-found"},
		{"/payment/a%20b/redrive", `{"by":"ada.l"}`, nil, 400, "invalid-request order_id"},
	} {
		if got := refused(d, "POST", c.path, c.body, c.status, c.headers...); got != c.want {
			t.Errorf("%s %.60s: %s, not %s", c.path, c.body, got, c.want)
		}
	}
	for _, topic := range []string{deadletter.RedriveTopic("payment"), deadletter.RedriveTopic("order")} {
		if n := len(d.Log.ReadTopic(topic)); n != 0 {
			t.Errorf("%d requests in %s", n, topic)
		}
	}
}

func TestOutagesAreSaid(t *testing.T) {
	d := open(t)
	id, _ := d.parked("o", "invalid", "no")
	d.Log.Down(fault.New(fault.Unavailable, "the broker is away"))
	for _, c := range [][3]string{
		{"POST", "/payment/" + id + "/redrive", `{"by":"ada.l"}`}, {"GET", "/payment/" + id, ""}, {"GET", "/requests/unheard-of", ""},
		{"GET", "/payment/" + viewtest.ID("unknown"), ""},
	} {
		if got := refused(d, c[0], c[1], c[2], 503); got != "unavailable" {
			t.Errorf("%s %s: %s", c[0], c[1], got)
		}
	}
	d.Log.Down(nil)
	get[httpapi.Chain](d, "/payment/"+id)
}
