package web

import (
	"net/http"

	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/services/console/internal/letters"
)

// lettersPage shows what waits: in groups, and the heads of the chains that pass the filter, the longest waiting first.
type lettersPage struct {
	Participants []string
	Filter       letters.Waiting
	Filtered     bool
	Groups       []letters.Group
	Chains       []letters.Chain
	Next         string
}

func (p *Pages) letters(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	page := lettersPage{Participants: letters.Participants, Filter: letters.Waiting{
		Participant: q.Get("participant"), Class: q.Get("class"), Type: q.Get("type"), Order: q.Get("order"),
	}}
	page.Filtered = page.Filter != letters.Waiting{}
	chains, next, err := p.model.Chains(r.Context(), page.Filter, 0, q.Get("page"))
	if err == nil {
		page.Groups, err = p.model.Groups(r.Context(), page.Filter)
	}
	if err != nil {
		p.fail(w, r, err)
		return
	}
	page.Chains = chains
	if next != "" {
		q.Set("page", next)
		page.Next = "/dead-letters?" + q.Encode()
	}
	p.show(w, r, http.StatusOK, "letters", "Dead letters", page)
}

func (p *Pages) letter(w http.ResponseWriter, r *http.Request) {
	chain, err := p.desk.Chain(r.Context(), httpdoor.Param(r, "participant"), httpdoor.Param(r, "order"), 0, "")
	if err != nil {
		p.fail(w, r, err)
		return
	}
	p.show(w, r, http.StatusOK, "letter", "Dead letters of one order", chain)
}
