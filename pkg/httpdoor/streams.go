package httpdoor

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/pkg/telemetry"
)

// streamRetry is when one that got no place may ask again.
const streamRetry = 10 * time.Second

// Streams are the places of answers that do not end by themselves.
type Streams struct {
	most, perClient int

	mu      sync.Mutex
	open    int
	clients map[string]int // open streams; none that has none
}

// NewStreams returns so many places, of which one client takes at most perClient.
func NewStreams(most, perClient int) *Streams {
	return &Streams{most: most, perClient: perClient, clients: map[string]int{}}
}

// streamsRefused counts those without a place, by reason.
var streamsRefused = telemetry.StreamsRefused.Counter()

// Enter takes a place for a request's client, until leave is called. Without one the error is a problem of status 503,
// or 429 when it is the client's share that is used up; both say when to ask again.
func (s *Streams) Enter(ctx context.Context) (leave func(), err error) {
	who := Client(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.open >= s.most:
		telemetry.By(telemetry.Reason.String("full")).Add(ctx, streamsRefused, 1)
		return nil, fault.Later(streamRetry, "%w", problem.New(http.StatusServiceUnavailable, problem.SlugUnavailable,
			"Temporarily unavailable", fmt.Sprintf("there are %d streams open, and no more are taken", s.most)))
	case s.clients[who] >= s.perClient:
		telemetry.By(telemetry.Reason.String("client")).Add(ctx, streamsRefused, 1)
		return nil, fault.Later(streamRetry, "%w", problem.New(http.StatusTooManyRequests, "too-many-streams",
			"Too many streams",
			fmt.Sprintf("this client has %d streams open, and no client gets more", s.perClient)))
	}
	s.open++
	s.clients[who]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.open--
		if s.clients[who]--; s.clients[who] == 0 {
			delete(s.clients, who)
		}
	}, nil
}

// clientKey is what Guard keeps the client under in the context of a request.
type clientKey struct{}

// Client returns whose share a request takes from: what WithClient said, and otherwise the address that it came from.
func Client(ctx context.Context) string {
	who, _ := ctx.Value(clientKey{}).(string)
	return who
}

// WithClient says whose share a request takes from, where that is known better than by its address.
func WithClient(ctx context.Context, who string) context.Context {
	return context.WithValue(ctx, clientKey{}, who)
}

// client is whose share a connection takes from: its address, and of IPv6 the /64, within which one machine has as many
// as it likes. X-Forwarded-For is not believed: anybody can write it. Behind a proxy all are one client.
func client(remote string) string {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return remote
	}
	addr := at.Addr().Unmap()
	if addr.Is6() {
		if net, err := addr.WithZone("").Prefix(64); err == nil {
			return net.String()
		}
	}
	return addr.String()
}
