package problem_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/problem"
	"go.opentelemetry.io/otel/trace"
)

func write(t *testing.T, ctx context.Context, err error) (*http.Response, problem.Problem) {
	t.Helper()
	w := httptest.NewRecorder()
	problem.Write(w, httptest.NewRequestWithContext(ctx, http.MethodPost, "/orders/a%2Fb?x=1", nil), err)
	var p problem.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatalf("body is not JSON: %v: %s", err, w.Body)
	}
	return w.Result(), p
}

// An outage fails every request: the log says so once, not once for each.
func TestAnOutageIsLoggedOnce(t *testing.T) {
	logged := captureLog(t)
	for range 100 {
		write(t, t.Context(), fault.Later(time.Second, "redis: OOM command not allowed when used memory > 'maxmemory'"))
	}
	write(t, t.Context(), fault.Later(time.Second, "redis: connection refused"))
	if n := strings.Count(logged.String(), "request failed"); n != 2 {
		t.Errorf("%d lines of two outages: %s", n, logged)
	}
}

func TestWriteGivesEveryClassItsStatus(t *testing.T) {
	logged := captureLog(t)
	secret := errors.New("dial tcp 10.1.2.3:9092: refused")
	for _, tc := range []struct {
		name   string
		err    error
		status int
		slug   string
		detail string // wanted in the detail
		retry  string
	}{
		{"invalid", fault.New(fault.Invalid, "no good"), 400, "invalid-request", "no good", ""},
		{"wrapped", fmt.Errorf("inner step: %w", fault.New(fault.Invalid, "no good")), 400, "invalid-request", "no good", ""},
		{"not found", fault.New(fault.NotFound, "no order X"), 404, "not-found", "no order X", ""},
		{"conflict", fault.New(fault.Conflict, "too late"), 409, "conflict", "too late", ""},
		{"not yet", fault.New(fault.NotYet, "%w", secret), 503, "unavailable", "again", "1"},
		{"unavailable", fault.As(fault.Unavailable, secret), 503, "unavailable", "again", "1"},
		{"later", fault.Later(2500*time.Millisecond, "%w", secret), 503, "unavailable", "again", "3"},
		{"deadline", fmt.Errorf("x: %w", context.DeadlineExceeded), 503, "unavailable", "again", "1"},
		{"transient", secret, 500, "internal-error", "our side", ""},
		{"permanent", fault.As(fault.Permanent, secret), 500, "internal-error", "our side", ""},
		{"too large", fmt.Errorf("read: %w", &http.MaxBytesError{Limit: 65536}), 413, "body-too-large", "65536", ""},
		{"outermost class wins", fault.As(fault.Unavailable, fault.New(fault.Invalid, "x")), 503, "unavailable", "again", "1"},
		{"own", fault.As(fault.Invalid, problem.New(422, "key-reused", "Key reused", "other body")), 422, "key-reused", "other body", ""},
		{"own later", fault.Later(5*time.Second, "%w", problem.New(503, "read-model-behind", "Behind", "17 behind")), 503, "read-model-behind", "17 behind", "5"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			logged.Reset()
			resp, p := write(t, t.Context(), tc.err)
			if resp.StatusCode != tc.status || p.Status != tc.status || p.Type != problem.TypePrefix+tc.slug {
				t.Errorf("got status %d, document %d %s", resp.StatusCode, p.Status, p.Type)
			}
			if !strings.Contains(p.Detail, tc.detail) || p.Title == "" || strings.Contains(p.Detail, "10.1.2.3") {
				t.Errorf("title %q, detail %q", p.Title, p.Detail)
			}
			h := resp.Header
			if h.Get("Retry-After") != tc.retry || h.Get("Content-Type") != problem.ContentType || h.Get("Cache-Control") != "no-store" {
				t.Errorf("headers %v", h)
			}
			if p.Instance != "/orders/a%2Fb" {
				t.Errorf("instance %q", p.Instance)
			}
			if got, want := logged.Len() > 0, tc.status >= 500; got != want {
				t.Errorf("logged %v, want %v: %s", got, want, logged)
			}
			if errors.Is(tc.err, secret) && !strings.Contains(logged.String(), "10.1.2.3") {
				t.Errorf("the text is kept from the caller and from the log: %s", logged)
			}
		})
	}
}

func TestWriteListsEveryFieldAtFault(t *testing.T) {
	one := fault.Field("/lines/0/quantity", "must be 1 to 10,000, is %d", 0)
	_, p := write(t, t.Context(), fmt.Errorf("decode: %w", one))
	if len(p.Errors) != 1 || p.Errors[0] != (problem.Field{Field: "/lines/0/quantity", Detail: "must be 1 to 10,000, is 0"}) {
		t.Errorf("one: %+v", p.Errors)
	}
	if p.Detail != one.Error() {
		t.Errorf("detail %q", p.Detail)
	}
	two := fault.As(fault.Invalid, errors.Join(one, fmt.Errorf("x: %w", fault.Field("/email", "must be an address"))))
	_, p = write(t, t.Context(), two)
	if len(p.Errors) != 2 || p.Errors[1].Field != "/email" || p.Detail != "2 fields are not valid" {
		t.Errorf("two: %+v", p)
	}
}

func TestWriteBoundsWhatComesBack(t *testing.T) {
	var all []error
	for range 5000 {
		all = append(all, fault.Field(strings.Repeat("é", 3000), "%s", strings.Repeat("x", 5000)))
	}
	_, p := write(t, t.Context(), fault.As(fault.Invalid, errors.Join(all...)))
	if len(p.Errors) != 100 || len(p.Errors[0].Field) > 1100 || len(p.Errors[0].Detail) > 1100 || !strings.HasSuffix(p.Errors[0].Field, "é…") {
		t.Errorf("%d errors, field of %d bytes", len(p.Errors), len(p.Errors[0].Field))
	}
}

func TestFromDoesNotShareFields(t *testing.T) {
	err := problem.New(422, "x", "X", "x", problem.Field{Field: strings.Repeat("f", 5000), Detail: "d"})
	problem.From(err)
	var p *problem.Problem
	if !errors.As(err, &p) || len(p.Errors[0].Field) != 5000 {
		t.Error("From changed the error it was given")
	}
}

func TestWriteNamesTheTrace(t *testing.T) {
	id := trace.TraceID{1, 2, 3}
	ctx := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: trace.SpanID{1}}))
	if _, p := write(t, ctx, fault.New(fault.Invalid, "x")); p.TraceID != id.String() {
		t.Errorf("trace id %q", p.TraceID)
	}
}

func TestReadGivesBackWhatWriteSaid(t *testing.T) {
	sent := fault.Later(5*time.Second, "%w", problem.New(503, "read-model-behind", "Behind", "17 behind", problem.Field{Field: "/a", Detail: "b"}))
	resp, _ := write(t, t.Context(), sent)
	err := problem.Read(resp)
	var p *problem.Problem
	var f *fault.Error
	if !errors.As(err, &p) || !errors.As(err, &f) || !problem.Is(err, "read-model-behind") {
		t.Fatalf("%T %v", err, err)
	}
	if f.Class != fault.Unavailable || f.RetryAfter != 5*time.Second || p.Detail != "17 behind" || len(p.Errors) != 1 {
		t.Errorf("%+v %+v", f, p)
	}
	if got := err.Error(); got != "17 behind\n  /a: b" {
		t.Errorf("text %q", got)
	}
}

func TestReadOfWhatIsNoProblemDocument(t *testing.T) {
	for status, class := range map[int]fault.Class{
		400: fault.Invalid, 405: fault.Invalid, 422: fault.Invalid, 404: fault.NotFound, 409: fault.Conflict, 429: fault.Unavailable,
		500: fault.Transient, 502: fault.Unavailable, 503: fault.Unavailable, 599: fault.Transient,
	} {
		for media, body := range map[string]string{"text/html": `{"title":"x"}`, problem.ContentType: `{"title":`} {
			resp := &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {media}}, Body: io.NopCloser(strings.NewReader(body))}
			err := problem.Read(resp)
			var p *problem.Problem
			if !errors.As(err, &p) || p.Status != status || p.Title == "x" || p.Title == "" || p.Type != "about:blank" {
				t.Errorf("%d %s: %+v", status, media, p)
			}
			if got := fault.ClassOf(err); got != class {
				t.Errorf("%d: class %v, want %v", status, got, class)
			}
		}
	}
	if err := problem.Read(&http.Response{StatusCode: 202}); err != nil {
		t.Errorf("202: %v", err)
	}
}

func TestDecode(t *testing.T) {
	type document struct{ ID string }
	answered := func(status int, body io.Reader) (*http.Response, *closed) {
		c := &closed{Reader: body}
		return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {problem.ContentType}}, Body: c}, c
	}
	gone := errors.New("connection refused")
	if _, err := problem.Decode[document](nil, gone); !errors.Is(err, gone) {
		t.Errorf("the call's own error became %v", err)
	}
	for name, tc := range map[string]struct {
		status int
		body   io.Reader
		want   string // of the document
		class  fault.Class
		text   string // of the error
	}{
		"a document": {200, strings.NewReader(`{"id":"o-1","new":1}`), "o-1", 0, ""},
		"a problem": {400, strings.NewReader(`{"detail":"no","errors":[{"field":"/id","detail":"is empty"}]}`), "",
			fault.Invalid, "no\n  /id: is empty"},
		"no JSON":   {200, strings.NewReader("<html>"), "", fault.Transient, "not as the contract says"},
		"too large": {200, io.MultiReader(strings.NewReader(`{"id":"`), zeros{}), "", fault.Unavailable, "too large"},
		"breaks off": {200, io.MultiReader(strings.NewReader(`{"id":`), iotest.ErrReader(gone)), "",
			fault.Unavailable, gone.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			resp, body := answered(tc.status, tc.body)
			got, err := problem.Decode[document](resp, nil)
			if said := fmt.Sprint(err); (err == nil) != (tc.text == "") || !strings.Contains(said, tc.text) {
				t.Errorf("error %v", err)
			}
			if class := fault.ClassOf(err); class != tc.class {
				t.Errorf("class %v of %v", class, err)
			}
			if got.ID != tc.want || !body.closed {
				t.Errorf("document %+v, body closed %v", got, body.closed)
			}
		})
	}
}

// The body of an answer that is no error is the caller's: a stream goes on.
func TestCheckLeavesABodyOpen(t *testing.T) {
	body := &closed{Reader: strings.NewReader("data: 1")}
	resp, err := problem.Check(&http.Response{StatusCode: 200, Body: body}, nil)
	if err != nil || resp == nil || body.closed {
		t.Errorf("%v, %v, closed %v", resp, err, body.closed)
	}
}

// closed remembers that it was.
type closed struct {
	io.Reader
	closed bool
}

func (c *closed) Close() error {
	c.closed = true
	return nil
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	return copy(b, bytes.Repeat([]byte{'0'}, len(b))), nil
}

func TestReadUnderstandsBothFormsOfRetryAfter(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"7": 7 * time.Second, "-1": 0, "soon": 0, "99999999": 24 * time.Hour, "Mon, 02 Jan 2006 15:04:05 GMT": 0,
	} {
		resp := &http.Response{StatusCode: 503, Header: http.Header{"Retry-After": {value}}, Body: http.NoBody}
		var f *fault.Error
		if err := problem.Read(resp); !errors.As(err, &f) || f.RetryAfter != want {
			t.Errorf("%s: %v", value, f)
		}
	}
}

func captureLog(t *testing.T) *bytes.Buffer {
	old := slog.Default()
	t.Cleanup(func() { slog.SetDefault(old) })
	var b bytes.Buffer
	slog.SetDefault(slog.New(slog.NewTextHandler(&b, nil)))
	return &b
}
