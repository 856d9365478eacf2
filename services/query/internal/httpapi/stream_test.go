package httpapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/view/viewtest"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	"github.com/troupe-dev/troupe/services/query/internal/httpapi"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// events reads server-sent events as they come; comments are left out.
type events struct {
	body    io.ReadCloser
	lines   *bufio.Scanner
	comment int
}

type sent struct{ name, id, data string }

func (d *door) stream(path string, headers ...string) *events {
	d.T.Helper()
	ctx, cancel := context.WithCancel(d.T.Context())
	d.T.Cleanup(cancel)
	resp := d.get(ctx, path, headers...)
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		d.T.Fatalf("GET %s: %s, %s", path, resp.Status, resp.Header.Get("Content-Type"))
	}
	d.T.Cleanup(func() { _ = resp.Body.Close() })
	return &events{body: resp.Body, lines: bufio.NewScanner(resp.Body)}
}

func (e *events) next(t *testing.T) (s sent) {
	t.Helper()
	for e.lines.Scan() {
		key, value, _ := strings.Cut(e.lines.Text(), ": ")
		switch key {
		case "":
			if value != "" {
				e.comment++
			} else if s != (sent{}) {
				return s
			}
		case "event":
			s.name = value
		case "id":
			s.id = value
		case "data":
			s.data = value
		}
	}
	t.Fatalf("the stream ended: %v", e.lines.Err())
	return s
}

func TestStreamFollowsAnOrderAndResumes(t *testing.T) {
	d := open(t, httpapi.Config{Heartbeat: 5 * time.Millisecond})
	id := viewtest.ID("o")
	story := d.Confirmed(id, "c-1")
	d.Put(story[0])
	d.Caught()
	stream := d.stream("/orders/" + id + "/stream")
	if first := stream.next(t); first.name != "order" || first.id != "1" || !strings.Contains(first.data, `"status":"placed"`) {
		t.Fatalf("%+v", first)
	}
	for n, r := range story[1:] {
		for beats := stream.comment; stream.comment < beats+2; { // quiet between changes, but alive
			if !stream.lines.Scan() {
				t.Fatalf("the stream ended: %v", stream.lines.Err())
			}
			if strings.HasPrefix(stream.lines.Text(), ":") {
				stream.comment++
			}
		}
		d.Put(r)
		got := stream.next(t)
		if got.id != strconv.Itoa(n+2) {
			t.Fatalf("after event %d: %+v", n+2, got)
		}
	}
	again := d.stream("/orders/"+id+"/stream", "Last-Event-ID", "3")
	if got := again.next(t); got.id != "4" || !strings.Contains(got.data, `"status":"confirmed"`) {
		t.Errorf("%+v", got)
	}
	// A reader that has the newest hears nothing before the next change.
	newest := d.stream("/orders/"+id+"/stream", "Last-Event-ID", "4")
	d.Put(d.Request("order", id, &orderv1.OrderCancellationRequested{RequestedAt: timestamppb.Now()}, broker.Record{}))
	if got := newest.next(t); got.id != "5" || !strings.Contains(got.data, `"cancellation":{"requested_at"`) {
		t.Errorf("%+v", got)
	}
}

func TestStreamShowsAllEvents(t *testing.T) {
	d := open(t, httpapi.Config{})
	stream := d.stream("/stream")
	records := d.Confirmed(viewtest.ID("o"), "c-1")
	d.Put(records...)
	for range records {
		got := stream.next(t)
		var e httpapi.Event
		if err := json.Unmarshal([]byte(got.data), &e); err != nil || got.name != "event" || e.OrderID != viewtest.ID("o") || e.Topic == "" || len(e.Data) == 0 {
			t.Errorf("%+v, %v", got, err)
		}
		if strings.Contains(got.data, "ada") {
			t.Errorf("an address: %s", got.data)
		}
	}
}

func TestOneClientHasItsShareOfStreams(t *testing.T) {
	d := open(t, httpapi.Config{MaxStreams: 3, PerClient: 2})
	id := viewtest.ID("o")
	d.Put(d.Placed(id, "c-1"))
	d.Caught()
	d.stream("/stream")
	d.stream("/orders/" + id + "/stream")
	for _, path := range []string{"/stream", "/orders/" + id + "/stream"} {
		resp := d.get(t.Context(), path)
		defer func() { _ = resp.Body.Close() }() // the places stay taken
		if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" {
			t.Errorf("GET %s: %s, again after %q", path, resp.Status, resp.Header.Get("Retry-After"))
		}
	}
}

func TestStreamsAreBounded(t *testing.T) {
	d := open(t, httpapi.Config{MaxStreams: 2})
	id := viewtest.ID("o")
	d.Put(d.Placed(id, "c-1"))
	d.Caught()
	first := d.stream("/stream")
	d.stream("/orders/" + id + "/stream")
	for _, path := range []string{"/stream", "/orders/" + id + "/stream"} {
		if p := refused(d, path); p.Status != 503 || !strings.Contains(p.Detail, "2 streams") {
			t.Errorf("GET %s: %+v", path, p)
		}
	}
	_ = first.body.Close() // its place is free again
	viewtest.Eventually(t, func() string {
		resp := d.get(t.Context(), "/stream")
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode != http.StatusOK {
			return resp.Status
		}
		return ""
	})
}
