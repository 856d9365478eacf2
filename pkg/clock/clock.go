// Package clock holds this machine's clock against those of others. A deadline is decided by a clock, so one that is
// wrong cancels good orders: beyond a bound nothing is decided by it, and somebody is told.
package clock

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/telemetry"
)

// Config is how far clocks may differ.
type Config struct {
	MaxSkew time.Duration `env:"MAX_CLOCK_SKEW" envDefault:"30s" min:"1s" max:"10m" help:"how far this machine's clock may be from that of Redis or the payment gateway; beyond it no deadline is decided, no order taken, and the service is not ready. Well below PAYMENT_DEADLINE, and above what a slow network can hide (clocks kept by NTP differ by milliseconds)"`
}

// fresh is how long a reading counts: a witness that is asked no more says nothing. When there is none that is fresh,
// the clock may have been put wrong, or be that of a host that has just booted.
const fresh = 2 * time.Minute

// askAgain is when a caller who was turned away may try again: clocks are put right by people, or by NTP within
// minutes.
const askAgain = 30 * time.Second

// Witnesses. Redis and the gateway judge; records only warn, since a record shows that its writer's clock and this one
// differ, and not which of them is wrong, and stays in the log when that is mended.
const (
	Redis   = "redis"
	Gateway = "gateway"
	records = "records"
)

// Clock is this machine's clock. A nil one is trusted. Safe for concurrent use.
type Clock struct {
	max time.Duration
	now func() time.Time

	mu    sync.Mutex
	heard map[string]reading
	said  bool // that the clock is not trusted
}

// reading is by how much this clock was ahead of a witness, at least; negative: behind it.
type reading struct {
	skew time.Duration
	at   time.Time
}

// New returns a clock whose skew may be read from metrics until stop is called.
func New(cfg Config) (c *Clock, stop func()) {
	c = &Clock{max: cfg.MaxSkew, now: time.Now, heard: map[string]reading{}}
	return c, telemetry.Gauges(c.observe, telemetry.ClockSkew)
}

// Heard takes in what a witness said the time was, with its resolution, between two moments of this clock. Whatever the
// network and the resolution can explain is no skew.
func (c *Clock) Heard(witness string, theirs time.Time, resolution time.Duration, asked, answered time.Time) {
	if c == nil {
		return
	}
	ahead, behind := max(0, asked.Sub(theirs.Add(resolution))), max(0, theirs.Sub(answered))
	c.note(witness, ahead-behind) // one of them is 0
}

// Record takes in when a record was written, by the clock of who wrote it: it cannot have been later than now.
func (c *Clock) Record(written time.Time) {
	if c == nil {
		return
	}
	if behind := written.Sub(c.now()); behind > 0 {
		c.note(records, -behind)
	}
}

// note keeps what a witness said, and tells the log when that makes the clock wrong, or right again.
func (c *Clock) note(witness string, skew time.Duration) {
	c.mu.Lock()
	c.heard[witness] = reading{skew, time.Now()}
	why, _ := c.wrong()
	turned := (why != "") != c.said
	c.said = why != ""
	c.mu.Unlock()
	switch {
	case !turned:
	case why != "":
		slog.Error("this machine's clock differs too much: no deadline is decided until that is mended",
			"witness", why, "ahead_by", skew.String())
	default:
		slog.Info("this machine's clock is right again")
	}
}

// wrong returns the first witness by name that contradicts this clock, and by how much. While none is asked, the last
// answers hold: a clock does not come right by silence.
func (c *Clock) wrong() (witness string, skew time.Duration) {
	last := c.lastHeard()
	for _, w := range []string{Gateway, Redis} {
		if r := c.heard[w]; last.Sub(r.at) < fresh && r.skew.Abs() > c.max {
			return w, r.skew
		}
	}
	return "", 0
}

// lastHeard is when a witness that judges was heard last.
func (c *Clock) lastHeard() time.Time {
	gateway, redis := c.heard[Gateway].at, c.heard[Redis].at
	if gateway.After(redis) {
		return gateway
	}
	return redis
}

// Err returns nil when a witness agreed with this clock lately. Otherwise nothing may be decided by it, and an
// Unavailable error says by how much it differs, or that nobody was heard.
func (c *Clock) Err() error {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	witness, skew := c.wrong()
	heard := time.Since(c.lastHeard()) < fresh
	c.mu.Unlock()
	switch {
	case witness == "" && heard:
		return nil
	case witness == "":
		return fault.Later(time.Second,
			"this machine's clock is compared with no other, redis does not answer: no deadline is decided")
	}
	way := "ahead of"
	if skew < 0 {
		way = "behind"
	}
	return fault.Later(askAgain, "this machine's clock is %s %s that of %s: no deadline is decided",
		skew.Abs().Round(time.Second), way, witness)
}

// Now is the present, or the witness's present where this clock is too far ahead of it: a fact from the future would be
// shown as such for ever, and a broker may refuse it (KIP-937).
func (c *Clock) Now() time.Time {
	if c == nil {
		return time.Now()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, skew := c.wrong()
	return c.now().Add(-max(0, skew))
}

// observe reports the skew to each witness that was heard lately.
func (c *Clock) observe(_ context.Context, observe telemetry.Observe) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for witness, r := range c.heard {
		if time.Since(r.at) < fresh {
			observe(telemetry.ClockSkew, r.skew.Seconds(), telemetry.Reason.String(witness))
		}
	}
}
