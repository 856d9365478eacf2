package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/schemas/check"
	"github.com/troupe-dev/troupe/services/troupe/load"
)

// silent: Redis stays connected and answers nobody, while customers come.
var silent = scene{Name: "Redis is silent", Act: func(ctx context.Context, s *stage) error {
	s.place(ctx, load.Plan{Orders: 6})
	_, wrong, err := s.SilenceRedis(ctx, elapse)
	s.wrong = append(s.wrong, wrong...)
	return err
}}

// skewDeadline is the deadline of an order that passes while no clock can be believed: services hear the time every 10 s.
const skewDeadline = 15 * time.Second

// skewed: Redis' clock is ahead while customers come, and while the deadline of an order passes that the gateway leaves open.
var skewed = scene{Name: "a clock is wrong", Deadline: skewDeadline, Act: func(ctx context.Context, s *stage) error {
	gateway := func(settings map[string]any) error { return send(ctx, http.MethodPut, s.Gateway+"/control", settings) }
	if err := gateway(map[string]any{"outage": true}); err != nil {
		return err
	}
	s.order(ctx)
	_, wrong, err := s.SkewClock(ctx, 30*time.Minute, skewDeadline)
	s.wrong = append(s.wrong, wrong...)
	if err != nil {
		return err
	}
	return gateway(nil)
}}

// anew: all topics are deleted and created again while Redis stays; customers come while they are away.
var anew = scene{Name: "topics made anew", Act: func(ctx context.Context, s *stage) (err error) {
	s.place(ctx, load.Plan{Orders: 48})
	if err := s.quiet(ctx, hitWithin); err != nil {
		return err
	}
	if s.gone, err = s.system().Remember(ctx); err != nil {
		return err
	}
	s.placed = nil
	if _, err := s.RenewTopics(ctx, func() { pause(ctx, elapse) }); err != nil {
		return err
	}
	s.place(ctx, load.Plan{Orders: 24})
	return nil
}}

// foreign: a page of another site asks every door by a name that it made point there, and sends what changes something.
var foreign = scene{Name: "a page of another site", Act: func(ctx context.Context, s *stage) error {
	s.place(ctx, load.Plan{Orders: 3})
	list, err := s.Control.Processes(ctx)
	if err != nil {
		return err
	}
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
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, at+"/orders", strings.NewReader("{}"))
			if err != nil {
				return err
			}
			ask(req)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				return fmt.Errorf("ask %s %s: %w", name, what, err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusMisdirectedRequest && resp.StatusCode != http.StatusForbidden {
				s.broke(check.Choreography, "", "%s is asked %s, and answers %s", name, what, resp.Status)
			}
		}
	}
	return nil
}}
