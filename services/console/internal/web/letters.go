package web

import (
	"context"
	"net/http"

	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/services/console/internal/httpapi"
	"github.com/troupe-dev/troupe/services/console/internal/letters"
)

// Desk is the operators' door: it reads chains with their payloads.
type Desk interface {
	Chain(ctx context.Context, participant, order string) (httpapi.Chain, error)
}

// lettersPage shows what waits: in groups, and the heads of the chains that pass the filter, the longest waiting first.
type lettersPage struct {
	Participants []string
	Filter       letters.Waiting
	Filtered     bool
	Groups       []letters.Group
	Heads        []letters.LetterAt
	Next         string
}

func (p *Pages) letters(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	page := lettersPage{Participants: letters.Participants, Filter: letters.Waiting{
		Participant: q.Get("participant"), Class: q.Get("class"), Type: q.Get("type"), Order: q.Get("order"),
	}}
	page.Filtered = page.Filter != letters.Waiting{}
	groups, err := p.model.Groups(r.Context(), page.Filter)
	var next string
	if err == nil {
		page.Groups = groups
		page.Heads, next, err = p.model.Letters(r.Context(), page.Filter, true, 50, q.Get("page"))
	}
	if err != nil {
		p.fail(w, r, err)
		return
	}
	if next != "" {
		q.Set("page", next)
		page.Next = "/dead-letters?" + q.Encode()
	}
	p.show(w, r, http.StatusOK, "letters", "Dead letters", page)
}

func (p *Pages) letter(w http.ResponseWriter, r *http.Request) {
	chain, err := p.desk.Chain(r.Context(), httpdoor.Param(r, "participant"), httpdoor.Param(r, "order"))
	if err != nil {
		p.fail(w, r, err)
		return
	}
	p.show(w, r, http.StatusOK, "letter", "Dead letters of one order", chain)
}
