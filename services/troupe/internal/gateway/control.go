package gateway

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/services/troupe/internal/jsonhttp"
)

// Control is how the simulator misbehaves on purpose. Its zero value is good behaviour. It is forgotten when the process ends.
type Control struct {
	// DeclinePercent of the charges that would succeed are declined (generic_decline). The same intent always is, or never.
	DeclinePercent int `json:"decline_percent"`
	// RefusePercent of the orders are refused (400) when their payment intent is to be created: a mistake of the shop's that
	// nobody at the bank decides about. The same order always is, or never.
	RefusePercent int `json:"refuse_percent"`
	// RefuseParameters answers 400 to every payment intent that is to be created, and blames a parameter that no
	// customer chose.
	RefuseParameters bool `json:"refuse_parameters"`
	// PendRefundsMS is for how many milliseconds a refund that is made is pending before it succeeds.
	PendRefundsMS int `json:"pend_refunds_ms"`
	// DelayMS is added to every request, in milliseconds.
	DelayMS int `json:"delay_ms"`
	// Outage answers every request with 503 and does nothing.
	Outage bool `json:"outage"`
	// FlapMS makes outages of so many milliseconds that alternate with as long without one; 0: none.
	FlapMS int `json:"flap_ms"`
	// LoseAnswersPercent of the requests that change something are executed, and their connection ends without an answer. A
	// request repeated with its key gets one.
	LoseAnswersPercent int `json:"lose_answers_percent"`
	// DoubleChargeNext is how many of the next charges that succeed are taken twice, as no gateway may: a control for what must notice.
	DoubleChargeNext int `json:"double_charge_next"`
	// ResetAfterS is after how many seconds all this ends by itself; 0: it does not.
	ResetAfterS int `json:"reset_after_s"`
}

type control struct {
	Control
	since time.Time
	until time.Time // zero: for good
}

func (c Control) validate() error {
	var errs []error
	within := func(field string, v, least, most int) {
		if v < least || v > most {
			errs = append(errs, fault.Field("/"+field, "must be from %d to %d, is %d", least, most, v))
		}
	}
	within("decline_percent", c.DeclinePercent, 0, 100)
	within("refuse_percent", c.RefusePercent, 0, 100)
	within("pend_refunds_ms", c.PendRefundsMS, 0, 600_000)
	within("delay_ms", c.DelayMS, 0, 60_000)
	within("lose_answers_percent", c.LoseAnswersPercent, 0, 100)
	within("double_charge_next", c.DoubleChargeNext, 0, 1000)
	within("reset_after_s", c.ResetAfterS, 0, 86_400)
	if c.FlapMS != 0 {
		within("flap_ms", c.FlapMS, 50, 600_000)
	}
	if c.Outage && c.FlapMS != 0 {
		errs = append(errs, fault.Field("/flap_ms", "must not be set together with outage"))
	}
	return errors.Join(errs...)
}

// switches returns the control as it is now: nothing once its time is over.
func (s *Simulator) switches() control {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.control.until.IsZero() && !now.Before(s.control.until) {
		s.control = control{}
	}
	return s.control
}

func (c control) delay() time.Duration { return time.Duration(c.DelayMS) * time.Millisecond }

func (c control) outAt(now time.Time) bool {
	if c.FlapMS > 0 {
		return now.Sub(c.since)/(time.Duration(c.FlapMS)*time.Millisecond)%2 == 0
	}
	return c.Outage
}

func (c control) loses() bool { return rand.N(100) < c.LoseAnswersPercent }

// declines turns a payment method that would be charged into one that is declined, for some intents.
func (c control) declines(intentID string, q quirks) quirks {
	if q.code == "" && !q.action && share(intentID) < c.DeclinePercent {
		return quirks{code: declined, declineCode: "generic_decline"}
	}
	return q
}

func (c control) refuses(orderID string) bool { return share(orderID) < c.RefusePercent }

// share turns a text into a number from 0 to 99, always the same.
func share(text string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(text)) // never fails
	return int(h.Sum32() % 100)
}

func (s *Simulator) putControl(w http.ResponseWriter, r *http.Request) {
	var c Control
	err := jsonhttp.Read(w, r, 4<<10, &c)
	if err == nil {
		err = c.validate()
	}
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	now := s.now()
	next := control{Control: c, since: now}
	if c.ResetAfterS > 0 {
		next.until = now.Add(time.Duration(c.ResetAfterS) * time.Second)
	}
	s.setControl(next)
	s.getControl(w, r)
}

func (s *Simulator) setControl(c control) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.control = c
}

func (s *Simulator) getControl(w http.ResponseWriter, _ *http.Request) {
	c := s.switches()
	shown := struct {
		Control
		Out      bool       `json:"out"`
		ResetsAt *time.Time `json:"resets_at,omitempty"`
	}{Control: c.Control, Out: c.outAt(s.now())}
	if !c.until.IsZero() {
		shown.ResetsAt = &c.until
	}
	reply(w, http.StatusOK, shown)
}

func (s *Simulator) deleteControl(w http.ResponseWriter, r *http.Request) {
	s.setControl(control{})
	s.getControl(w, r)
}

// say describes the control for the page; empty when all is well.
func (c control) say(now time.Time) []string {
	var out []string
	add := func(on bool, format string, args ...any) {
		if on {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	add(c.Outage, "outage")
	add(c.FlapMS > 0, "flapping every %d ms", c.FlapMS)
	add(c.DelayMS > 0, "delay %d ms", c.DelayMS)
	add(c.DeclinePercent > 0, "%d %% of charges declined", c.DeclinePercent)
	add(c.RefusePercent > 0, "%d %% of orders refused", c.RefusePercent)
	add(c.RefuseParameters, "a parameter of every intent refused")
	add(c.PendRefundsMS > 0, "refunds pending for %d ms", c.PendRefundsMS)
	add(c.LoseAnswersPercent > 0, "%d %% of answers lost", c.LoseAnswersPercent)
	add(c.DoubleChargeNext > 0, "the next %d charged twice", c.DoubleChargeNext)
	add(len(out) > 0 && !c.until.IsZero(), "for another %d s", int(c.until.Sub(now).Seconds())+1)
	return out
}
