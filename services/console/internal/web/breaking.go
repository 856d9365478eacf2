package web

import (
	"net/http"
	"net/url"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
)

// maxForm bounds the body of a form, in bytes.
const maxForm = 16 << 10

// breaks is the page where one breaks things. There is none outside a playground.
func (p *Pages) breaks(w http.ResponseWriter, r *http.Request) {
	if p.whole(w, r) {
		return
	}
	all, err := p.cfg.Playground.Breaks(r.Context())
	if err != nil {
		p.fail(w, r, err)
		return
	}
	p.show(w, r, http.StatusOK, "break", "Break things", all)
}

// whole answers where there is no playground.
func (p *Pages) whole(w http.ResponseWriter, r *http.Request) bool {
	if p.cfg.Playground.Control != "" {
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
	name := httpdoor.Param(r, "name")
	var err error
	if r.PostForm.Get("do") == "mend" {
		err = p.cfg.Playground.Mend(r.Context(), name)
	} else {
		err = p.cfg.Playground.Break(r.Context(), name, r.PostForm.Get("option"))
	}
	switch class := fault.ClassOf(err); {
	case err == nil:
		http.Redirect(w, r, "/break#"+url.PathEscape(name), http.StatusSeeOther)
	case class == fault.Conflict || class == fault.Unavailable:
		p.show(w, r, http.StatusServiceUnavailable, "problem", "Not now", problemPage{Text: err.Error()})
	default:
		p.fail(w, r, err)
	}
}
