package web

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/problem"
)

const (
	// controlHeader must be on what changes something in a playground.
	controlHeader = "X-Troupe-Control"
	controlWithin = 10 * time.Second
	// maxForm bounds the body of a form, in bytes.
	maxForm = 16 << 10
)

// Playground asks the control API of the playground that a console belongs to. The zero value belongs to none.
type Playground struct {
	// URL of the API; empty: there is none.
	URL string
}

// broken is something that can be broken, as the control API says it.
type broken struct {
	Name, Title, Does, Watch string
	Options                  []struct{ Value, Label string }
	LastsS                   int `json:"lasts_s"`
	On                       bool
	Option                   string
	EndsAt                   time.Time `json:"ends_at"`
	Order, Error             string
}

// Left is how many seconds it goes on.
func (b broken) Left() int { return max(0, int(time.Until(b.EndsAt).Round(time.Second).Seconds())) }

// Chosen is the label of the option that is on, and a colon; empty when there is no choice.
func (b broken) Chosen() string {
	for _, o := range b.Options {
		if o.Value == b.Option {
			return o.Label + ":"
		}
	}
	return ""
}

func (c Playground) call(ctx context.Context, method, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, controlWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(c.URL, "/")+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set(controlHeader, "1")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fault.New(fault.Unavailable, "the playground does not answer: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if err := problem.Read(resp); err != nil {
		return err
	}
	return json.NewDecoder(http.MaxBytesReader(nil, resp.Body, 1<<20)).Decode(into)
}

// Stopped says which services have no process that runs, and what became of it. What cannot be asked is left out.
func (c Playground) Stopped(ctx context.Context) map[string]string {
	var list struct {
		Processes []struct{ Service, State string }
	}
	if c.URL == "" || c.call(ctx, http.MethodGet, "/processes", &list) != nil {
		return nil
	}
	stopped := map[string]string{}
	for _, p := range list.Processes {
		stopped[p.Service] = p.State
	}
	for _, p := range list.Processes {
		if p.State == "running" {
			delete(stopped, p.Service)
		}
	}
	return stopped
}

// breaks is the page where one breaks things. There is none outside a playground.
func (p *Pages) breaks(w http.ResponseWriter, r *http.Request) {
	if p.whole(w, r) {
		return
	}
	var list struct{ Breaks []broken }
	if err := p.cfg.Playground.call(r.Context(), http.MethodGet, "/breaks", &list); err != nil {
		p.fail(w, r, err)
		return
	}
	p.show(w, r, http.StatusOK, "break", "Break things", list.Breaks)
}

// whole answers where there is no playground.
func (p *Pages) whole(w http.ResponseWriter, r *http.Request) bool {
	if p.cfg.Playground.URL != "" {
		return false
	}
	p.show(w, r, http.StatusNotFound, "problem", "Nothing to break here", problemPage{Text: "Only a playground can be broken: troupe play starts one."})
	return true
}

// breakIt breaks one thing, or mends it again.
func (p *Pages) breakIt(w http.ResponseWriter, r *http.Request) {
	if p.whole(w, r) {
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		p.fail(w, r, fault.Field("body", "must be a form: %w", err))
		return
	}
	method, path := http.MethodPost, "/breaks/"+url.PathEscape(httpdoor.Param(r, "name"))
	if r.PostForm.Get("do") == "mend" {
		method = http.MethodDelete
	} else {
		path += "?option=" + url.QueryEscape(r.PostForm.Get("option"))
	}
	var is broken
	if err := p.cfg.Playground.call(r.Context(), method, path, &is); err != nil {
		if fault.ClassOf(err) == fault.Conflict || fault.ClassOf(err) == fault.Unavailable {
			p.show(w, r, http.StatusServiceUnavailable, "problem", "Not now", problemPage{Text: err.Error()})
			return
		}
		p.fail(w, r, err)
		return
	}
	http.Redirect(w, r, "/break#"+url.PathEscape(is.Name), http.StatusSeeOther)
}
