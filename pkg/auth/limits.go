package auth

import (
	"net/http"
	"time"

	"github.com/go-chi/httprate"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/pkg/telemetry"
)

// limit lets through so many requests a minute of each client, which is what httpdoor says at its place in the chain:
// of an address before its token is read, of a subject behind that. Each instance counts its own. It says how many are
// left in the RateLimit fields of draft-ietf-httpapi-ratelimit-headers-06.
func limit(perMinute int, of string) func(http.Handler) http.Handler {
	if perMinute == 0 {
		return func(next http.Handler) http.Handler { return next }
	}
	tooMany := problem.New(http.StatusTooManyRequests, "too-many-requests", "Too many requests",
		"this "+of+" has sent more requests than one may in a minute")
	return httprate.LimitBy(perMinute, time.Minute,
		func(r *http.Request) (string, error) { return httpdoor.Client(r.Context()), nil },
		httprate.WithResponseHeaders(httprate.ResponseHeaders{
			Limit: "RateLimit-Limit", Remaining: "RateLimit-Remaining", RetryAfter: "Retry-After",
		}),
		httprate.WithLimitHandler(func(w http.ResponseWriter, r *http.Request) {
			telemetry.By(telemetry.Reason.String("rate")).Add(r.Context(), refused, 1)
			problem.Write(w, r, tooMany)
		}))
}
