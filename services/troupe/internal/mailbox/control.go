package mailbox

import (
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/services/troupe/internal/jsonhttp"
)

// Settings are what the control API breaks. The zero value is a mailbox that works.
type Settings struct {
	// Outage closes every connection as soon as it is idle, and new ones at once.
	Outage bool `json:"outage"`
	// DelayMS is how long each mail waits before it is stored, 0 to 60,000 milliseconds.
	DelayMS int `json:"delay_ms"`
	// RefusePercent of all recipients are refused for good (550), always the same ones. 0 to 100.
	RefusePercent int `json:"refuse_percent"`
	// DeferPercent of all recipients are put off (450) for as long as this lasts, always the same ones. 0 to 100.
	DeferPercent int `json:"defer_percent"`
	// ResetAfterS ends all of this after so many seconds, up to 3,600; 0: never.
	ResetAfterS int `json:"reset_after_s"`
}

// State is the answer of GET and PUT /control.
type State struct {
	Settings
	// ResetsAt is when reset_after_s will have passed; absent when it is 0.
	ResetsAt *time.Time `json:"resets_at,omitempty"`
	// Waiting is how many mails are held back now.
	Waiting int `json:"waiting"`
}

func (s Settings) validate() error {
	var errs []error
	within := func(field string, v, most int) {
		if v < 0 || v > most {
			errs = append(errs, fault.Field(field, "must be 0 to %d, is %d", most, v))
		}
	}
	within("/delay_ms", s.DelayMS, 60_000)
	within("/refuse_percent", s.RefusePercent, 100)
	within("/defer_percent", s.DeferPercent, 100)
	within("/reset_after_s", s.ResetAfterS, 3600)
	return fault.As(fault.Invalid, errors.Join(errs...))
}

// control holds the settings. Its zero value is ready.
type control struct {
	mu      sync.Mutex
	state   State
	waiting int
	changed chan struct{} // closed by the next set; nil until somebody waits
}

// now returns what holds at this moment.
func (c *control) now() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at := c.state.ResetsAt; at != nil && !time.Now().Before(*at) {
		c.state = State{}
	}
	s := c.state
	s.Waiting = c.waiting
	return s
}

func (c *control) set(s Settings) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state = State{Settings: s}
	if s.ResetAfterS > 0 {
		at := time.Now().UTC().Add(time.Duration(s.ResetAfterS) * time.Second)
		c.state.ResetsAt = &at
	}
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

// wait holds a mail back for d. It ends early when the mailbox stops, and with an error when an outage begins.
func (c *control) wait(stopping <-chan struct{}, d time.Duration) error {
	over := time.NewTimer(d)
	defer over.Stop()
	c.count(1)
	defer c.count(-1)
	for {
		if c.now().Outage {
			return errOutage
		}
		c.mu.Lock()
		if c.changed == nil {
			c.changed = make(chan struct{})
		}
		changed := c.changed
		c.mu.Unlock()
		select {
		case <-over.C:
			return nil
		case <-stopping:
			return nil
		case <-changed:
		}
	}
}

func (c *control) count(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting += n
}

// routes adds GET, PUT and DELETE /control; cutOff is called after each change.
func (c *control) routes(r chi.Router, cutOff func()) {
	r.Get("/control", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, c.now()) })
	r.Put("/control", func(w http.ResponseWriter, r *http.Request) {
		var s Settings // what the document does not name is off
		err := jsonhttp.Read(w, r, 4<<10, &s)
		if err == nil {
			err = s.validate()
		}
		if err != nil {
			problem.Write(w, r, err)
			return
		}
		c.set(s)
		if s.Outage {
			cutOff()
		}
		writeJSON(w, c.now())
	})
	r.Delete("/control", func(w http.ResponseWriter, _ *http.Request) {
		c.set(Settings{})
		w.WriteHeader(http.StatusNoContent)
	})
}
