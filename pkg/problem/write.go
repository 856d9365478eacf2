package problem

import (
	"cmp"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"go.opentelemetry.io/otel/trace"
)

// Write answers a request with the problem document of err. A 5xx is logged with the text that the caller does not get;
// a request whose caller has gone is not. The instance is the request's path, the trace id that of the span in its
// context.
func Write(w http.ResponseWriter, r *http.Request, err error) {
	p := From(err)
	p.Instance = cmp.Or(p.Instance, short(r.URL.EscapedPath()))
	if p.TraceID == "" {
		if span := trace.SpanContextFromContext(r.Context()); span.HasTraceID() {
			p.TraceID = span.TraceID().String()
		}
	}
	log(r, p, err)
	h := w.Header()
	h.Set("Content-Type", ContentType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Del("Content-Length")
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((p.RetryAfter+time.Second-1)/time.Second), 10))
	}
	w.WriteHeader(p.Status)
	// A caller that hung up is the only way this fails, and there is nobody left to tell.
	_ = json.NewEncoder(w).Encode(p)
}

// sayAgain is how long the log is not told again that requests fail for the reason that it was told last: an outage
// fails all of them.
const sayAgain = 10 * time.Second

// said is the reason of a 503 that the log was told last.
var said struct {
	sync.Mutex
	reason string
	at     time.Time
}

// saidLately says whether the log was told of a reason within sayAgain, and remembers it otherwise.
func saidLately(reason string) bool {
	said.Lock()
	defer said.Unlock()
	if said.reason == reason && time.Since(said.at) < sayAgain {
		return true
	}
	said.reason, said.at = reason, time.Now()
	return false
}

// log tells of a 5xx: an error, but for a 503, which is a warning once and then for debugging. Below 500 it is the
// caller who is told, and a caller that has gone is no failure.
func log(r *http.Request, p Problem, err error) {
	level := slog.LevelError
	switch {
	case p.Status < http.StatusInternalServerError, r.Context().Err() != nil:
		return
	case p.Status == http.StatusServiceUnavailable:
		level = slog.LevelWarn
		if saidLately(fmt.Sprint(fault.ClassOf(err), p.RetryAfter, err)) {
			level = slog.LevelDebug
		}
	}
	slog.Log(r.Context(), level, "request failed", "status", p.Status, "type", p.Type, "method", r.Method, "error", err)
}
