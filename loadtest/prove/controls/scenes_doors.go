package main

import (
	"net/http"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/schemas/check"
	"github.com/troupe-dev/troupe/services/troupe/load"
)

// silent: Redis stays connected and answers nobody, while customers come.
var silent = scene{Name: "Redis is silent", Act: func(s *stage) {
	s.place(load.Plan{Orders: 6})
	_, wrong, err := s.SilenceRedis(s.ctx, elapse)
	s.wrong = append(s.wrong, wrong...)
	s.must(err)
}}

// skewDeadline is the deadline of an order that passes while no clock can be believed: services hear the time every 10 s.
const skewDeadline = 15 * time.Second

// skewed: Redis' clock is ahead while customers come, and while the deadline of an order passes that the gateway leaves open.
var skewed = scene{Name: "a clock is wrong", Deadline: skewDeadline, Act: func(s *stage) {
	s.set(s.Gateway, "outage", true)
	s.order()
	_, wrong, err := s.SkewClock(s.ctx, 30*time.Minute, skewDeadline)
	s.wrong = append(s.wrong, wrong...)
	s.must(err)
	s.mend(s.Gateway)
}}

// anew: all topics are deleted and created again while Redis stays; customers come while they are away.
var anew = scene{Name: "topics made anew", Act: func(s *stage) {
	s.place(load.Plan{Orders: 48})
	s.rest()
	var err error
	s.gone, err = s.system().Remember(s.ctx)
	s.must(err)
	s.placed = nil
	_, err = s.RenewTopics(s.ctx, func() { s.pause(elapse) })
	s.must(err)
	s.place(load.Plan{Orders: 24})
}}

// foreign: a page of another site asks every door by a name that it made point there, and sends what changes something.
var foreign = scene{Name: "a page of another site", Act: func(s *stage) {
	s.place(load.Plan{Orders: 3})
	list, err := s.Control.Processes(s.ctx)
	s.must(err)
	doors := map[string]string{"gateway": s.Gateway, "mailbox": s.Mailbox}
	for _, p := range list {
		if at := p.Addresses["http"]; at != "" {
			doors[p.Name] = at
		}
	}
	for name, at := range doors {
		for what, ask := range map[string]func(*http.Request){
			"by the name of another site": func(r *http.Request) { r.Host = "evil.example" },
			"from another origin": func(r *http.Request) {
				r.Method = http.MethodPost
				r.Header.Set("Origin", "https://evil.example")
			},
		} {
			req, err := http.NewRequestWithContext(s.ctx, http.MethodGet, at+"/orders", strings.NewReader("{}"))
			s.must(err)
			ask(req)
			resp, err := http.DefaultClient.Do(req)
			s.must(err)
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusMisdirectedRequest && resp.StatusCode != http.StatusForbidden {
				s.broke(check.Choreography, "", "%s is asked %s, and answers %s", name, what, resp.Status)
			}
		}
	}
}}
