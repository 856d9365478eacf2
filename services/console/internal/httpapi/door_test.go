package httpapi_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/auth"
	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/pkg/view/viewtest"
	"github.com/troupe-dev/troupe/schemas/storiestest"
	"github.com/troupe-dev/troupe/services/console/internal/consoletest"
	"github.com/troupe-dev/troupe/services/console/internal/httpapi"
	parked "github.com/troupe-dev/troupe/services/console/internal/letters"
	"github.com/troupe-dev/troupe/services/console/internal/orders"
)

// desk is an operators' door in front of a stage.
type desk struct {
	*consoletest.Stage
	url  string
	stop func() // of the projection
}

func open(t *testing.T) *desk { return openBehind(t, auth.New(auth.Config{})) }

func openBehind(t *testing.T, g *auth.Guard) *desk {
	t.Helper()
	s := consoletest.New(t)
	api, err := httpapi.New(s.Model, orders.New("http://127.0.0.1:1", "", auth.Credentials{}), s.Log, nil, viewtest.Partitions)
	if err != nil {
		t.Fatal(err)
	}
	stop := s.Play()
	srv := httptest.NewServer(httpdoor.Config{}.Guard(api.Handler(g, nil)))
	t.Cleanup(srv.Close)
	return &desk{s, srv.URL, stop}
}

// do sends a request and decodes its answer; headers are pairs.
func do[A any](d *desk, method, path, body string, want int, headers ...string) (a A, h http.Header) {
	d.T.Helper()
	req, err := http.NewRequestWithContext(d.T.Context(), method, d.url+"/api/dead-letters"+path, strings.NewReader(body))
	if err != nil {
		d.T.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		d.T.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != want {
		d.T.Fatalf("%s %s: %s, not %d: %s %v", method, path, resp.Status, want, text, err)
	}
	if err := json.Unmarshal(text, &a); err != nil {
		d.T.Fatalf("%s %s: %v: %s", method, path, err, text)
	}
	return a, resp.Header
}

func get[A any](d *desk, path string) A {
	d.T.Helper()
	a, _ := do[A](d, http.MethodGet, path, "", http.StatusOK)
	return a
}

// refused returns the slug of a problem and the fields at fault.
func refused(d *desk, method, path, body string, want int, headers ...string) string {
	d.T.Helper()
	p, h := do[problem.Problem](d, method, path, body, want, headers...)
	if want == http.StatusServiceUnavailable && h.Get("Retry-After") == "" {
		d.T.Errorf("%s %s: no Retry-After", method, path)
	}
	text := strings.TrimPrefix(p.Type, problem.TypePrefix)
	for _, f := range p.Errors {
		text += " " + f.Field
	}
	return text
}

// parked puts an order's first events into the log and its letters with payment, the first for a reason.
func (d *desk) parked(name, class, message string) (id string, letters []string) {
	d.T.Helper()
	id = viewtest.ID(name)
	story := d.Confirmed(id, "c-1")
	d.Put(story...)
	letters = d.Park("payment", class, message, story[0], story[2])
	d.Caught()
	return id, letters
}

func TestGroupsAndLetters(t *testing.T) {
	d := open(t)
	var ids []string
	for i := range 7 {
		class := []string{"invalid", "permanent"}[i/5]
		id, _ := d.parked(fmt.Sprint(i), class, fmt.Sprintf("order %d is refused", i))
		ids = append(ids, id)
	}
	d.Park("notification", "invalid", "550 no", d.Placed(ids[0], "c-1"))
	d.Caught()

	all := get[httpapi.Groups](d, "/groups")
	if all.Orders != 8 || all.Letters != 15 || len(all.Groups) != 3 {
		t.Fatalf("%+v", all)
	}
	if g := all.Groups[0]; g.Class != "invalid" || g.Participant != "payment" || g.Type != "troupe.order.v1.OrderPlaced" || g.Orders != 5 ||
		g.Letters != 10 || g.Message != "order 4 is refused" || !g.Oldest.Before(g.Newest) {
		t.Errorf("%+v", g)
	}
	for query, want := range map[string]string{
		"?participant=notification": "1 1", "?class=permanent": "2 4", "?type=OrderPlaced": "8 15", "?type=troupe.order.v1.OrderPlaced&class=invalid": "6 11",
		"?type=Placed": "0 0", "?order_id=" + ids[0]: "2 3", "?order_id=" + ids[0] + "&participant=payment": "1 2", "?order_id=" + ids[0] + "&class=permanent": "0 0",
		"?participant=shipping": "0 0",
	} {
		if g := get[httpapi.Groups](d, "/groups"+query); fmt.Sprint(g.Orders, g.Letters) != want {
			t.Errorf("%s: %d orders, %d letters, not %s", query, g.Orders, g.Letters, want)
		}
	}
	for query, want := range map[string]int{
		"": 8, "?class=permanent": 2, "?participant=payment": 7, "?type=OrderPlaced": 8, "?type=Placed": 0, "?order_id=" + ids[0]: 2,
		"?order_id=" + ids[0] + "&participant=payment": 1, "?order_id=" + ids[0] + "&class=permanent": 0,
	} {
		for _, size := range []int{1, 2, 3, 7, 200} {
			if got := d.pages(query, size); len(got) != want {
				t.Errorf("%s by %d: %d heads, not %d: %v", query, size, len(got), want, got)
			}
		}
	}
	first := get[httpapi.LetterPage](d, "?page_size=2")
	if l := first.Letters[0]; l.OrderID != ids[0] || l.Position != 1 || l.Class != "invalid" || l.Topic != "order.events.v1" {
		t.Errorf("%+v", l)
	}
	behind := get[httpapi.Chain](d, "/payment/"+ids[0]).Letters[1]
	if behind.Position != 2 || behind.Class != "behind" || behind.Behind != first.Letters[0].LetterID {
		t.Errorf("%+v", behind)
	}
	if got := refused(d, "GET", "?class=invalid&page_token="+first.NextPageToken, "", 400); got != "invalid-request page_token" {
		t.Error(got)
	}
	if got := refused(d, "GET", "?page_token=x&clas=invalid", "", 400); got != "invalid-request clas" {
		t.Error(got)
	}
}

// pages reads all heads page by page; each must come once.
// The groups of one order are as those of all: alike chains are one group, and the largest comes first.
func TestGroupsOfOneOrder(t *testing.T) {
	d := open(t)
	id := viewtest.ID("a")
	story := d.Confirmed(id, "c-1")
	d.Park("order", "invalid", "first of all", story[1])
	for partition := range 2 {
		l := d.Letter("payment", story[0], "permanent", fmt.Sprint("partition ", partition), "")
		l.Partition = partition
		d.Put(l)
	}
	d.Caught()
	all := get[httpapi.Groups](d, "/groups?order_id="+id)
	if len(all.Groups) != 2 || all.Orders != 3 || all.Letters != 3 {
		t.Fatalf("got %+v", all)
	}
	if g := all.Groups[0]; g.Participant != "payment" || g.Orders != 2 || g.Message != "partition 1" || !g.Oldest.Before(g.Newest) {
		t.Errorf("the first is %+v", g)
	}
}

func (d *desk) pages(query string, size int) (seen []string) {
	d.T.Helper()
	join := "?"
	if query != "" {
		join = "&"
	}
	for token := ""; ; {
		page := get[httpapi.LetterPage](d, fmt.Sprintf("%s%spage_size=%d&page_token=%s", query, join, size, token))
		for _, l := range page.Letters {
			name := l.Participant + l.OrderID + l.LetterID
			for _, s := range seen {
				if s == name {
					d.T.Fatalf("%s by %d: %s comes twice", query, size, name)
				}
			}
			seen = append(seen, name)
		}
		if token = page.NextPageToken; token == "" {
			return seen
		}
		if len(page.Letters) != size {
			d.T.Errorf("a page of %d, not %d", len(page.Letters), size)
		}
	}
}

// What its participant redrives by itself is shown with the next try, is no entry of the audit trail however often it was tried, and is
// redriven for an operator without force.
func TestDeferredIsShownWithItsNextTry(t *testing.T) {
	d := open(t)
	id := viewtest.ID("o")
	came := d.Placed(id, "c-1")
	d.Put(came)
	letters := d.Park("payment", "deferred", "the payment is still processing", came)
	var next time.Time
	for n := range 7 {
		next = d.Clock.Add(time.Hour).Truncate(time.Microsecond)
		d.Put(deadletter.Tell(deadletter.Record{
			Kind: deadletter.Failed, Order: id, ID: letters[0], Group: "payment", Class: "deferred", Message: "still processing", Redrives: n + 1,
			LastFailure: d.Clock, RetryAt: next, RequestID: fmt.Sprint("try ", n), Automatic: true,
		}, consoletest.LettersOf("payment", id).Partition, d.Clock))
	}
	d.Caught()
	l := get[httpapi.LetterPage](d, "").Letters[0]
	if c := get[httpapi.Chain](d, "/payment/"+id); !l.RetryAt.Equal(next) || !c.Letters[0].RetryAt.Equal(next) || len(c.Outcomes) != 0 {
		t.Errorf("next try at %v and %v, not %v; outcomes %+v", l.RetryAt, c.Letters[0].RetryAt, next, c.Outcomes)
	}
	if log := get[httpapi.LogPage](d, "/log"); len(log.Entries) != 0 {
		t.Errorf("in the audit trail: %+v", log.Entries)
	}
	d.Answer("payment", comesBack(letters))
	if s, _ := do[httpapi.RequestState](d, "POST", "/payment/"+id+"/redrive", `{"by":"ada.l"}`, 200); s.State != httpapi.RequestStateStateDone {
		t.Errorf("%+v", s)
	}
}

func TestChainIsShownWhole(t *testing.T) {
	d := open(t)
	id, letters := d.parked("o", "invalid", "no such card pm_card_visa of ada@example.com")
	c := get[httpapi.Chain](d, "/payment/"+id)
	if c.Waiting != 2 || len(c.Letters) != 2 || c.Story != "/orders/"+id+"/events" || c.NextPageToken != "" || len(c.Outcomes) != 0 {
		t.Fatalf("%+v", c)
	}
	l := c.Letters[0]
	if l.LetterID != letters[0] || !strings.Contains(string(l.Payload), storiestest.Email) || len(l.Raw) == 0 || l.PayloadError != "" || l.Group != "payment" ||
		l.Message != "no such card pm_card_visa of ada@example.com" || l.LetterTopic != "payment.dead-letters.v1" || l.Deliveries != 1 {
		t.Errorf("%+v", l)
	}
	headers := map[string]string{}
	for _, h := range l.Headers {
		headers[h.Name] = h.Value
	}
	if headers["ce_id"] != letters[0] || headers["__dlq.record"] != "" {
		t.Errorf("%v", headers)
	}
	if listed := get[httpapi.LetterPage](d, "?page_size=1").Letters[0]; listed.Message != "no such card *** of ***" {
		t.Errorf("listed with %q", listed.Message)
	}
	one := get[httpapi.Chain](d, "/payment/"+id+"?page_size=1")
	two := get[httpapi.Chain](d, "/payment/"+id+"?page_size=1&page_token="+one.NextPageToken)
	if len(one.Letters) != 1 || len(two.Letters) != 1 || two.Letters[0].Position != 2 || two.NextPageToken != "" {
		t.Errorf("%+v %+v", one, two)
	}
	if got := refused(d, "GET", "/order/"+id, "", 404); got != "not-found" {
		t.Error(got)
	}
	if got := refused(d, "GET", "/shipping/"+id, "", 404); got != "not-found" {
		t.Error(got)
	}
	// What is in the log and not folded may be what is asked for.
	d.stop()
	late := viewtest.ID("late")
	d.Park("payment", "invalid", "no", d.Placed(late, "c-1"))
	if got := refused(d, "GET", "/payment/"+late, "", 503); got != "read-model-behind" {
		t.Error(got)
	}
	d.Play()
	d.Caught()
	get[httpapi.Chain](d, "/payment/"+late)
}

// Topics were made anew, and the read model does not know it yet: at the places that it names lies what is said of another order. That is
// neither shown as this order's, nor acted upon.
func TestLettersOfALogThatIsGone(t *testing.T) {
	d := open(t)
	id, letters := d.parked("o", "invalid", "no such card")
	stop := d.Answer("payment", comesBack(letters, letters[0]))
	do[httpapi.RequestState](d, "POST", "/payment/"+id+"/redrive", `{`+by+`}`, 200)
	stop()
	d.stop()
	partition := d.Model.Partition(id)
	d.Log.Recreate(slices.Concat(consoletest.Topics, parked.Notes)...)
	other := ""
	for n := 0; other == "" || d.Model.Partition(other) != partition; n++ {
		other = viewtest.ID(fmt.Sprint("other ", n))
	}
	placed := d.Placed(other, "c-2")
	for range 5 {
		d.Park("payment", "permanent", "somebody else's", placed)
		_, asked := d.Ask("payment", deadletter.Redrive, other, "", partition)
		d.Put(asked)
	}
	c := get[httpapi.Chain](d, "/payment/"+id)
	for _, l := range c.Letters {
		if l.PayloadError == "" || l.Payload != nil || len(l.Raw)+len(l.Headers) > 0 || strings.Contains(l.Message, "somebody") {
			t.Errorf("shown as a letter of %s: %+v", id, l)
		}
	}
	if len(c.Letters) != 2 || len(c.Outcomes) != 0 {
		t.Errorf("%d letters, outcomes %+v", len(c.Letters), c.Outcomes)
	}
	if log := get[httpapi.LogPage](d, "/log?order_id="+id); len(log.Entries) != 0 {
		t.Errorf("in its trail: %+v", log.Entries)
	}
	refused(d, "POST", "/payment/"+id+"/redrive", `{`+by+`}`, 503)
	refused(d, "POST", "/payment/"+id+"/discard", fmt.Sprintf(`{%s,"letter_id":%q}`, by, letters[1]), 503)
}

// A page ends early when its bodies grow large, and holds one letter at least.
func TestLargeLettersMakeShortPages(t *testing.T) {
	d := open(t)
	story := d.Refunded(viewtest.ID("o"), "c-1")[:4]
	head := ""
	for i, size := range []int{1, 2, 3, 5} {
		l := d.Letter("payment", story[i], "permanent", "too large", head)
		l.Value = bytes.Repeat([]byte{0xff}, size<<20) // as it was written before letters were by reference
		d.Put(l)
		rec, err := deadletter.Parse(l)
		if err != nil {
			t.Fatal(err)
		}
		head = cmp.Or(head, rec.ID)
	}
	d.Caught()
	var pages []int
	for token := ""; ; {
		c := get[httpapi.Chain](d, "/payment/"+viewtest.ID("o")+"?page_token="+token)
		pages = append(pages, len(c.Letters))
		if token = c.NextPageToken; token == "" {
			break
		}
	}
	if fmt.Sprint(pages) != "[2 1 1]" {
		t.Errorf("%v letters a page", pages)
	}
}

// A letter that does not hold its event says where that is.
func TestLettersByReferenceAreShown(t *testing.T) {
	d := open(t)
	large := d.Placed(viewtest.ID("l"), "c-1")
	large.Value, large.Offset = make([]byte, 3<<20), 7
	d.Park("payment", "permanent", "no", large)
	d.Park("payment", "permanent", "more than 16 MiB", broker.Record{Topic: "order.events.v1", Offset: 9, Unreadable: errors.New("too large")})
	d.Caught()
	said := []string{fmt.Sprintf("order.events.v1/%d@7", large.Partition), "could not be read"}
	page := get[httpapi.LetterPage](d, "")
	for i, l := range page.Letters {
		c := get[httpapi.Chain](d, "/payment/"+l.OrderID)
		if s := c.Letters[0]; s.Payload != nil || len(s.Raw) > 0 || !strings.Contains(s.PayloadError, said[i]) || (len(s.Headers) > 0) != (i == 0) {
			t.Errorf("%d: payload %s, error %q, headers %v", i, s.Payload, s.PayloadError, s.Headers)
		}
	}
	if len(page.Letters) != 2 {
		t.Errorf("%+v", page)
	}
}

func TestStrangeLettersAreShown(t *testing.T) {
	d := open(t)
	garbage := d.Placed(viewtest.ID("g"), "c-1")
	garbage.Value = []byte{0xff, 0xff}
	headless := broker.Record{Topic: "order.events.v1", Partition: 2, Key: []byte("\xff bad/key?"), Value: []byte("hello"), Headers: broker.HeadersOf("x", "\xfe")}
	keyless := broker.Record{Topic: "order.events.v1", Partition: 1, Value: []byte("hello")}
	stray := d.Placed(viewtest.ID("s"), "c-1") // in a partition that is not its own
	stray.Partition = (stray.Partition + 1) % viewtest.Partitions
	for _, r := range []broker.Record{garbage, headless, keyless, stray} {
		d.Park("payment", "permanent", "undecodable", r)
	}
	d.Caught()
	page := get[httpapi.LetterPage](d, "")
	if len(page.Letters) != 4 {
		t.Fatalf("%+v", page)
	}
	names := []string{string(garbage.Key), "raw:", "raw:", string(stray.Key)}
	for i, l := range page.Letters {
		c := get[httpapi.Chain](d, "/payment/"+l.OrderID)
		if !strings.HasPrefix(l.OrderID, names[i]) || len(c.Letters) != 1 {
			t.Errorf("%d: %s %+v", i, l.OrderID, c)
			continue
		}
		if s := c.Letters[0]; (s.PayloadError == "") != (i == 3) || len(s.Raw) == 0 {
			t.Errorf("%d: payload %s, error %q", i, s.Payload, s.PayloadError)
		}
		if i == 1 && (!c.Letters[0].Headers[0].Base64 || c.Letters[0].Headers[0].Value != "/g==") {
			t.Errorf("header %+v", c.Letters[0].Headers)
		}
	}
	if g := get[httpapi.Groups](d, "/groups"); g.Orders != 4 {
		t.Errorf("%+v", g)
	}
	// A request goes where the letter is, under the true name.
	var asked []deadletter.Request
	heard := make(chan deadletter.Request, 4)
	d.Answer("payment", func(q deadletter.Request) []deadletter.Record {
		heard <- q
		return []deadletter.Record{{Kind: deadletter.Closed, Redriven: 1}}
	})
	for _, l := range page.Letters {
		do[httpapi.RequestState](d, "POST", "/payment/"+l.OrderID+"/redrive", `{"by":"ada.l"}`, 200)
		asked = append(asked, <-heard)
	}
	if asked[1].Order != "\xff bad/key?" || asked[1].Partition != 2 || !strings.HasPrefix(asked[2].Order, "keyless:") || asked[3].Partition != stray.Partition {
		t.Errorf("%+v", asked)
	}
}
